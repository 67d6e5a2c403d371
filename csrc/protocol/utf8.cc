#include "protocol/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace naiad {
namespace {

constexpr bool is_continuation(unsigned char c) {
  return (c & 0xC0) == 0x80;
}

// Bytes of the well-formed sequence at `s` with `left` bytes to go; 0 when there is none. The ranges of the
// second byte are those of table 3-7 of the Unicode standard.
std::size_t sequence_length(const unsigned char* s, std::size_t left) {
  const unsigned char c = s[0];
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return left >= 2 && is_continuation(s[1]) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (left < 3 || !is_continuation(s[1]) || !is_continuation(s[2])) return 0;
    if (c == 0xE0 && s[1] < 0xA0) return 0;
    if (c == 0xED && s[1] > 0x9F) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (left < 4 || !is_continuation(s[1]) || !is_continuation(s[2]) || !is_continuation(s[3])) return 0;
    if (c == 0xF0 && s[1] < 0x90) return 0;
    if (c == 0xF4 && s[1] > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// Bytes at `s`, which begins no well-formed sequence, that could have been the start of one; at least 1.
std::size_t broken_length(const unsigned char* s, std::size_t left) {
  const unsigned char c = s[0];
  if (c < 0xC2 || c > 0xF4 || left < 2 || !is_continuation(s[1])) return 1;
  if ((c == 0xE0 && s[1] < 0xA0) || (c == 0xED && s[1] > 0x9F)) return 1;
  if ((c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F)) return 1;
  return c >= 0xF0 && left >= 3 && is_continuation(s[2]) ? 3 : 2;
}

}  // namespace

bool is_utf8(std::string_view text) {
  const auto* s = reinterpret_cast<const unsigned char*>(text.data());
  const std::size_t size = text.size();
  std::size_t at = 0;
  while (at < size) {
    if (size - at >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, s + at, 8);
      if ((word & 0x8080808080808080ULL) == 0) {
        at += 8;
        continue;
      }
    }
    const std::size_t length = sequence_length(s + at, size - at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string repaired_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto* s = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t length = sequence_length(s, text.size());
    if (length > 0) {
      out.append(text, 0, length);
    } else {
      out += "\xEF\xBF\xBD";
      length = broken_length(s, text.size());
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace naiad
