#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "../cpp/protocol/http1_kit.h"
#include "codec_target.h"
#include "protocol/header_number.h"
#include "protocol/utf8.h"
#include "protocol/v2_route.h"

namespace naiad::fuzz {

inline void check_http1_response(std::string_view text) {
  Http1Head head;
  std::size_t scanned = 0;
  const Http1Parsed parsed = parse_http1_response(bytes_of(text), {}, head, scanned);
  require(scanned <= text.size(), "no more is scanned than there is");
  if (parsed.outcome == Http1Outcome::kComplete) {
    require(head.size_bytes <= text.size() && head.status >= 100 && head.status <= 999,
            "a response has a status");
  }
}

// Byte 0 says in which steps the rest, a connection's bytes, arrives.
inline int run_http1(std::span<const std::uint8_t> input) {
  if (input.empty()) return 0;
  const std::size_t step = input[0] % 32 + 1;
  const std::string_view text(reinterpret_cast<const char*>(input.data()) + 1, input.size() - 1);
  const std::string whole = transcript_of(text);
  Http1Transcript pieces;
  for (std::size_t at = 0; at < text.size(); at += step) pieces.feed(text.substr(at, step));
  require(pieces.text() == whole, "a connection means the same however its bytes arrive");
  if (text.size() <= 300) {
    require(transcript_of(text, text.size() / 2) == whole, "a connection means the same in two parts");
  }
  check_http1_response(text);

  Http1Head head;
  std::size_t scanned = 0;
  if (parse_http1_request(bytes_of(text), {}, head, scanned).outcome != Http1Outcome::kComplete) return 0;
  require(head.target.starts_with('/') || head.target == "*", "a target is a path");
  std::optional<std::size_t> length;
  const Status status = read_inference_header_length(head, 1000, length);
  require(status.ok() ? length.value_or(0) <= 1000 : is_refusal(status),
          "a header's number is in range or refused");
  const V2Route route = find_v2_route(head.target);
  require((route.endpoint == V2Route::Endpoint::kControl) == route.model.empty(), "inference is of a model");
  require(is_utf8(percent_decoded(route.model)), "a model's name is UTF-8");
  return 0;
}

}  // namespace naiad::fuzz
