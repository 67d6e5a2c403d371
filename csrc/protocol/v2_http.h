#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/decode_limits.h"
#include "protocol/wire_message.h"
#include "request/request.h"

namespace naiad {

// Reads a KServe v2 inference request (JSON, the binary tensor extension, or both mixed) into `request`:
// names and binary tensors are views of `request.body`, which the caller has set to the whole body; numbers
// and strings given as JSON are written to blocks of `pool`. `header_length` is
// Inference-Header-Content-Length (0 = the raw form: the body is the one input's bytes, which `spec` then
// describes; it may be null otherwise). kInvalidArgument for whatever is malformed. Any thread.
Status decode_v2_http(std::span<const std::byte> body, std::optional<std::size_t> header_length,
                      const ModelSpec* spec, TensorPool& pool, const DecodeLimits& limits, Request& request);

// How an encoded v2 HTTP response is to be framed.
struct V2HttpHead {
  // Inference-Header-Content-Length of the response; empty: the body is JSON alone.
  std::optional<std::size_t> json_size_bytes;
};

// Writes the response to a request that decode_v2_http read. Outputs are written as the request wants them:
// JSON, binary, or as classes. FP16 and BF16 as JSON are kInvalidArgument. Any thread.
Status encode_v2_http(const Request& request, const Response& response, WireMessage& message,
                      V2HttpHead& head);

}  // namespace naiad
