#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "codec_target.h"
#include "protocol/content_coding.h"

namespace naiad::fuzz {

// Byte 0: bit 0 chooses the coding, bit 1 whether the rest is compressed data or what is to be compressed,
// the others the limit of the output.
inline int run_inflate(std::span<const std::uint8_t> input) {
  if (input.empty()) return 0;
  const ContentCoding coding = (input[0] & 1) != 0 ? ContentCoding::kGzip : ContentCoding::kDeflate;
  const std::size_t max_bytes = std::size_t{1} << (input[0] >> 4) << 6;
  std::span<const std::byte> body = std::as_bytes(input.subspan(1));
  std::string compressed;
  const bool is_plain = (input[0] & 2) != 0;
  if (is_plain) {
    WireMessage message;
    message.append_view(body);
    deflate_message(message, coding, compressed);
    body = std::as_bytes(std::span<const char>(compressed));
  }
  HeapPool pool(16UL << 20);
  PlainBody plain;
  const Status status = inflate_body(body, coding, pool, max_bytes, plain);
  if (!status.ok()) {
    require(is_refusal(status), "a refusal has a client's code and a short message");
    require(!is_plain || input.size() - 1 > max_bytes, "what was deflated inflates");
    return 0;
  }
  require(plain.size_bytes <= max_bytes, "the output is within its limit");
  require(plain.size_bytes <= plain.block->size_bytes(), "the output lies in its block");
  if (is_plain) {
    require(plain.size_bytes == input.size() - 1, "what was deflated inflates to its size");
    require(
        plain.size_bytes == 0 || std::memcmp(plain.block->data(), input.data() + 1, plain.size_bytes) == 0,
        "what was deflated inflates to itself");
  }
  return 0;
}

}  // namespace naiad::fuzz
