#pragma once

#include <optional>

#include "codec_target.h"

namespace naiad::fuzz {

inline ModelSpec raw_spec(std::uint8_t choice) {
  constexpr DataType kTypes[] = {DataType::kFp32, DataType::kBytes, DataType::kInt8, DataType::kBf16};
  ModelSpec spec;
  spec.name = "m";
  spec.max_batch_size = (choice & 4) != 0 ? 8 : 0;
  TensorSpec input;
  input.name = "X";
  input.dtype = kTypes[choice & 3];
  input.dims = (choice & 8) != 0 ? Shape{-1, 2} : (choice & 16) != 0 ? Shape{-1, 0} : Shape{1};
  spec.inputs.push_back(std::move(input));
  return spec;
}

// Byte 0 chooses the framing (JSON alone, JSON of the length in bytes 1 and 2 with a binary tail, raw with
// the model that byte 1 chooses); the rest is the body.
inline int run_v2_http(std::span<const std::uint8_t> input) {
  if (input.size() < 3) return 0;
  const std::uint8_t framing = input[0] % 3;
  const ModelSpec spec = raw_spec(input[1]);
  std::optional<std::size_t> header_length;
  if (framing == 1) header_length = std::size_t{input[1]} * 256 + input[2];
  if (framing == 2) header_length = 0;
  HeapPool pool(16UL << 20);
  const DecodeLimits limits = decode_limits();
  Request request;
  request.model_name = "m";
  request.body = copy_of(input.subspan(3));
  const std::span<const std::byte> body(request.body->data(), request.body->size_bytes());
  const Status status = decode_v2_http(body, header_length, &spec, pool, limits, request);
  if (!status.ok()) {
    require(is_refusal(status), "a refusal has a client's code and a short message");
    return 0;
  }
  check_accepted(request);
  encode_both(request);
  return 0;
}

}  // namespace naiad::fuzz
