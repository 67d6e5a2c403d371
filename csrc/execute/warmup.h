#pragma once

#include "base/clock.h"
#include "execute/backend.h"
#include "memory/tensor_pool.h"

namespace naiad {

// Runs the model's warm-up samples on a backend that has just been made, and waits for their answers. Throws
// Error with the name of the sample when one fails. Instance thread.
void warm_up(Backend& backend, const std::shared_ptr<const ModelSpec>& model, TensorPool& pool,
             const Clock& clock);

}  // namespace naiad
