#pragma once

#include "codec_target.h"

namespace naiad::fuzz {

// The input is a serialized ModelInferRequest.
inline int run_v2_grpc(std::span<const std::uint8_t> input) {
  HeapPool pool(16UL << 20);
  const DecodeLimits limits = decode_limits();
  Request request;
  request.body = copy_of(input);
  const std::span<const std::byte> body(request.body->data(), request.body->size_bytes());
  const Status status = decode_v2_grpc(body, pool, limits, request);
  if (!status.ok()) {
    require(is_refusal(status), "a refusal has a client's code and a short message");
    return 0;
  }
  check_accepted(request);
  encode_both(request);
  return 0;
}

}  // namespace naiad::fuzz
