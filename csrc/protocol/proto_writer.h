#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace naiad {

// Appends protobuf fields to a message text. Any thread, one per text.

inline void append_varint(std::string& text, std::uint64_t value) {
  while (value >= 0x80) {
    text += static_cast<char>((value & 0x7F) | 0x80);
    value >>= 7;
  }
  text += static_cast<char>(value);
}

constexpr std::size_t varint_size(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

inline void append_varint_field(std::string& text, std::uint32_t field, std::uint64_t value) {
  append_varint(text, field << 3);
  append_varint(text, value);
}

inline void append_double_field(std::string& text, std::uint32_t field, double value) {
  append_varint(text, (field << 3) | 1);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (unsigned shift = 0; shift < 64; shift += 8) text += static_cast<char>((bits >> shift) & 0xFF);
}

// The tag and the length of a string, bytes or message field whose content follows.
inline void append_length_field(std::string& text, std::uint32_t field, std::size_t size_bytes) {
  append_varint(text, (field << 3) | 2);
  append_varint(text, size_bytes);
}

inline void append_string_field(std::string& text, std::uint32_t field, std::string_view value) {
  append_length_field(text, field, value.size());
  text += value;
}

}  // namespace naiad
