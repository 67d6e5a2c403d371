#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory/tensor_pool.h"
#include "request/request.h"

namespace naiad {

// One answer of the answers to the parts of a batch, in their order: each output is the rows of all parts,
// one behind the other; of parameters with one name the first one counts. kInternal when an output has not as
// many rows as its part, another data type or row shape than in the parts before, or is not there in some of
// them; kUnavailable when the pool is exhausted. `num_rows`: by part. Any thread.
Response join_responses(const ModelSpec& model, std::span<const Response> parts,
                        std::span<const std::uint32_t> num_rows, TensorPool& pool);

}  // namespace naiad
