#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "execute/execution.h"
#include "memory/tensor_pool.h"

namespace naiad {

// Runs the model's warm-up samples by `run`, which has a backend that has just been made run a batch, and
// waits for their answers. Throws Error with the name of the sample when one fails. Instance thread.
void warm_up(const std::shared_ptr<const ModelSpec>& model, TensorPool& pool, const Clock& clock,
             const std::function<void(Execution&)>& run);

}  // namespace naiad
