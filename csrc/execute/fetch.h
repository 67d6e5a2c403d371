#pragma once

#include <string>
#include <string_view>

#include "memory/gpus.h"
#include "memory/tensor.h"
#include "memory/tensor_pool.h"

namespace naiad {

// Copies a tensor that lies on a GPU to a block of the pool and makes it that copy; one that is on the host
// stays as it is. For who meets such a tensor where the host reads it, which is rare: a model that was loaded
// anew, for another device, after its request was on the way. Waits for that one copy. kUnavailable where the
// pool is exhausted, kInternal where the GPU fails; the tensor is as it was then. All work on it is done. Any
// thread.
Status fetch(Tensor& tensor, TensorPool& pool, Gpus* gpus);

// What is said where that failed.
std::string unfetched(std::string_view input, std::string_view model, const Status& status);

}  // namespace naiad
