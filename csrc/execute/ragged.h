#pragma once

#include <memory>
#include <vector>

#include "memory/tensor.h"
#include "memory/tensor_pool.h"
#include "request/request.h"

namespace naiad {

using Requests = std::vector<std::unique_ptr<Request>>;

// A ragged input of all requests: their elements one behind the other, in one dimension. Not present() where
// it is absent in the first. Throws Error(kUnavailable) when the pool is exhausted. Instance thread.
Tensor gather_ragged(const Requests& requests, std::size_t index, TensorPool& pool);

// What the model is told of the batch. Throws as above.
Tensor make_batch_input(const BatchInput& made, DataType dtype, const Requests& requests, TensorPool& pool);

// The part of request `request` of an output of one dimension, of which `offset` bytes are taken already;
// moves the offset. Throws Error(kInternal) when there is too little. Instance thread.
Tensor scatter_output(const TensorSpec& spec, const Tensor& tensor, const Tensor& source, bool batches,
                      std::size_t& offset);

}  // namespace naiad
