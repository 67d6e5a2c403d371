#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace naiad {

// Steps through the fields of one serialized protobuf message (protobuf.dev/programming-guides/encoding).
// Each next() must be answered by one read_*() or skip(). Groups, which proto3 does not have, and a wire type
// that is not the one a read expects are failures. The first failure sticks. Not thread-safe.
class ProtoReader {
 public:
  enum class WireType : unsigned char { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

  explicit ProtoReader(std::span<const std::byte> message) : rest_(message) {}

  // The next field's number and wire type; false at the end or on failure.
  bool next();
  std::uint32_t field() const { return field_; }
  WireType wire_type() const { return wire_type_; }

  bool read_varint(std::uint64_t& value);
  bool read_fixed64(std::uint64_t& value);
  bool read_bytes(std::span<const std::byte>& bytes);
  // A proto3 string: bytes that are UTF-8.
  bool read_string(std::string_view& text);
  bool skip();

  bool failed() const { return failure_ != nullptr; }
  // kInvalidArgument that names the first failure.
  Status status() const;

  // A varint or fixed value without a tag, as packed fields hold them.
  bool take_varint(std::uint64_t& value);
  bool take_fixed64(std::uint64_t& value);
  bool take_fixed32(std::uint32_t& value);
  bool empty() const { return rest_.empty(); }
  // Bytes that have not been read.
  std::size_t rest_bytes() const { return rest_.size(); }

 private:
  bool fail(const char* what) {
    if (failure_ == nullptr) failure_ = what;
    return false;
  }
  bool expect(WireType wire_type) {
    return !failed() && (wire_type_ == wire_type || fail("wrong wire type"));
  }

  std::span<const std::byte> rest_;
  std::uint32_t field_ = 0;
  WireType wire_type_ = WireType::kVarint;
  const char* failure_ = nullptr;
};

}  // namespace naiad
