#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/codec_kit.h"

namespace naiad {

// A protobuf encoder for tests, written from the encoding's description and apart from the one under test.
inline std::string varint(std::uint64_t value) {
  std::string out;
  do {
    const auto low = static_cast<unsigned char>(value & 127);
    value >>= 7;
    out += static_cast<char>(value != 0 ? low | 128 : low);
  } while (value != 0);
  return out;
}

inline std::string tag(std::uint32_t number, std::uint32_t wire_type) {
  return varint((number << 3) | wire_type);
}
inline std::string length_field(std::uint32_t number, std::string_view content) {
  return tag(number, 2) + varint(content.size()) + std::string(content);
}
inline std::string varint_field(std::uint32_t number, std::uint64_t value) {
  return tag(number, 0) + varint(value);
}

// InferInputTensor without contents.
inline std::string proto_input(std::string_view name, std::string_view datatype,
                               const std::vector<std::int64_t>& shape) {
  std::string dims;
  for (const std::int64_t dim : shape) dims += varint(static_cast<std::uint64_t>(dim));
  return length_field(1, name) + length_field(2, datatype) + length_field(3, dims);
}

// An entry of a map<string, InferParameter>; `value` is the serialized InferParameter.
inline std::string map_entry(std::string_view key, std::string_view value) {
  return length_field(1, key) + length_field(2, value);
}

}  // namespace naiad
