#pragma once

#include <span>
#include <string>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/v2_http.h"
#include "request/request.h"

namespace naiad {

// Triton's generate extension (server, docs/protocol/extension_generate.md): inputs and outputs of any model
// as the members of one flat JSON object.

// Reads such an object into `request`. Members, and those of a member "parameters", that are named like an
// input of `spec` become that input: a value, or an array whose elements fill the one open dimension that is
// innermost (the other open ones are 1); all others become parameters of the request. kInvalidArgument for
// whatever does not fit. Any thread.
Status decode_generate(std::span<const std::byte> body, const ModelSpec& spec, TensorPool& pool,
                       const DecodeLimits& limits, Request& request);

// Appends one response as such an object: a single element is a value, more are an array. A
// parameter of the response that has the name of another member is left out. Its failure, or why
// it has no such form, is given back, and nothing appended. Any thread.
Status append_generate_response(std::string& text, const Request& request, const Response& response);

}  // namespace naiad
