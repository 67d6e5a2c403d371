#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/v2_http.h"
#include "request/request.h"

namespace naiad {

// Reads the typed contents of a serialized InferInputTensor into a block of `pool`; the input's name, dtype
// and shape are set and checked. FP16 and BF16 have no typed form. Any thread.
Status read_proto_contents(std::span<const std::byte> input_message, std::string_view model_name,
                           TensorPool& pool, const DecodeLimits& limits, GivenInput& input);

}  // namespace naiad
