#include "protocol/http1_line.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace naiad {
namespace {

constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101;
constexpr std::uint64_t kHighs = 0x8080'8080'8080'8080;

// Non-zero when one of eight bytes is below 0x20 or is DEL; the lowest bit set is in the first such byte (a
// borrow can only reach bytes above one that is really found). Bit tricks of S. E. Anderson's collection.
constexpr std::uint64_t controls(std::uint64_t bytes) {
  const std::uint64_t low = (bytes - 0x20 * kOnes) & ~bytes;
  const std::uint64_t del = bytes ^ (0x7F * kOnes);
  return (low | ((del - kOnes) & ~del)) & kHighs;
}

constexpr bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

// The first control character in [from, stop); `stop` when there is none.
std::size_t find_control(std::string_view text, std::size_t from, std::size_t stop) {
  std::size_t i = from;
  static_assert(std::endian::native == std::endian::little, "the first byte is the lowest");
  for (; i + sizeof(std::uint64_t) <= stop; i += sizeof(std::uint64_t)) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, text.data() + i, sizeof bytes);
    const std::uint64_t found = controls(bytes);
    if (found != 0) return i + static_cast<std::size_t>(std::countr_zero(found)) / 8;
  }
  while (i < stop && !is_control(text[i])) ++i;
  return i;
}

}  // namespace

Http1Line find_line_end(std::string_view text, std::size_t from, std::size_t last_end) {
  using Outcome = Http1Line::Outcome;
  if (from > last_end) return {Outcome::kTooLong, from};
  const std::size_t stop = std::min(text.size(), last_end + 1);
  for (std::size_t i = from;; ++i) {
    i = find_control(text, i, stop);
    if (i == stop) return {text.size() > last_end ? Outcome::kTooLong : Outcome::kIncomplete, i};
    if (text[i] == '\t') continue;
    if (text[i] != '\r') return {Outcome::kControl, i};
    if (i + 1 == text.size()) return {Outcome::kIncomplete, i};
    return {text[i + 1] == '\n' ? Outcome::kEnds : Outcome::kControl, i};
  }
}

}  // namespace naiad
