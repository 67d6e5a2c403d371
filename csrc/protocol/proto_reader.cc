#include "protocol/proto_reader.h"

#include <cstring>
#include <limits>

#include "protocol/utf8.h"

namespace naiad {

Status ProtoReader::status() const {
  if (!failed()) return {};
  return {Code::kInvalidArgument, "failed to parse the request message: " + std::string(failure_) +
                                      " in field " + std::to_string(field_)};
}

bool ProtoReader::take_varint(std::uint64_t& value) {
  if (failed()) return false;
  value = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    if (i == rest_.size()) return fail("truncated integer");
    const auto byte = static_cast<std::uint64_t>(rest_[i]);
    value |= (byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) {
      rest_ = rest_.subspan(i + 1);
      return true;
    }
  }
  return fail("integer of more than 10 bytes");
}

bool ProtoReader::take_fixed64(std::uint64_t& value) {
  if (failed()) return false;
  if (rest_.size() < sizeof value) return fail("truncated value");
  std::memcpy(&value, rest_.data(), sizeof value);
  rest_ = rest_.subspan(sizeof value);
  return true;
}

bool ProtoReader::take_fixed32(std::uint32_t& value) {
  if (failed()) return false;
  if (rest_.size() < sizeof value) return fail("truncated value");
  std::memcpy(&value, rest_.data(), sizeof value);
  rest_ = rest_.subspan(sizeof value);
  return true;
}

bool ProtoReader::next() {
  if (failed() || rest_.empty()) return false;
  std::uint64_t tag = 0;
  if (!take_varint(tag)) return false;
  if (tag > std::numeric_limits<std::uint32_t>::max()) return fail("malformed tag");
  field_ = static_cast<std::uint32_t>(tag >> 3);
  if (field_ == 0) return fail("malformed tag");
  switch (tag & 7) {
    case 0:
    case 1:
    case 2:
    case 5:
      wire_type_ = static_cast<WireType>(tag & 7);
      return true;
    default:
      return fail("unknown wire type");
  }
}

bool ProtoReader::read_varint(std::uint64_t& value) {
  return expect(WireType::kVarint) && take_varint(value);
}
bool ProtoReader::read_fixed64(std::uint64_t& value) {
  return expect(WireType::kFixed64) && take_fixed64(value);
}
bool ProtoReader::read_bytes(std::span<const std::byte>& bytes) {
  std::uint64_t size = 0;
  if (!expect(WireType::kLength) || !take_varint(size)) return false;
  if (size > rest_.size()) return fail("truncated value");
  bytes = rest_.first(static_cast<std::size_t>(size));
  rest_ = rest_.subspan(static_cast<std::size_t>(size));
  return true;
}

bool ProtoReader::read_string(std::string_view& text) {
  std::span<const std::byte> bytes;
  if (!read_bytes(bytes)) return false;
  text = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return is_utf8(text) || fail("text that is not UTF-8");
}

bool ProtoReader::skip() {
  std::uint64_t wide = 0;
  std::uint32_t narrow = 0;
  std::span<const std::byte> bytes;
  switch (wire_type_) {
    case WireType::kVarint:
      return take_varint(wide);
    case WireType::kFixed64:
      return take_fixed64(wide);
    case WireType::kFixed32:
      return take_fixed32(narrow);
    case WireType::kLength:
      return read_bytes(bytes);
  }
  return false;
}

}  // namespace naiad
