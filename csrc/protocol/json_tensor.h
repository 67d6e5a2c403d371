#pragma once

#include <string_view>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/json_reader.h"
#include "protocol/v2_http.h"
#include "request/request.h"

namespace naiad {

// Reads the reader's next value, the array "data" of `input`, into a block of `pool`; the input's dtype and
// shape are set and checked. Arrays may be nested in any way: the elements are counted in the order in which
// they stand. FP16 and BF16 have no JSON form. Any thread.
Status read_json_tensor(JsonReader& reader, TensorPool& pool, const DecodeLimits& limits, GivenInput& input);

// Appends `tensor` as a flat JSON array; kInvalidArgument for FP16, BF16 and strings that are not UTF-8.
// Any thread.
Status append_json_tensor(std::string& text, std::string_view output_name, const Tensor& tensor);

}  // namespace naiad
