#pragma once

#include <cstddef>
#include <span>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/v2_http.h"
#include "protocol/wire_message.h"
#include "request/request.h"

namespace naiad {

// Reads a serialized inference.ModelInferRequest (grpc_service.proto) into `request`: names and
// raw_input_contents are views of `request.body`, which the caller has set to the whole message; typed
// contents are written to blocks of `pool`. Any thread.
Status decode_v2_grpc(std::span<const std::byte> message, TensorPool& pool, const DecodeLimits& limits,
                      Request& request);

// Writes a serialized inference.ModelInferResponse; tensors go to raw_output_contents as views. Any thread.
Status encode_v2_grpc(const Request& request, const Response& response, WireMessage& message);

}  // namespace naiad
