#include "protocol/tensor_place.h"

#include "protocol/header_number.h"
#include "protocol/proto_reader.h"

namespace naiad {
namespace {

constexpr std::uint32_t kRawInputContents = 7;  // of ModelInferRequest, grpc_service.proto

}  // namespace

std::size_t first_tensor_offset(const Http1Head& head) {
  const auto value = head.field(kInferenceHeaderLength);
  return value ? parse_header_number(*value).value_or(0) : 0;
}

std::size_t first_tensor_offset(std::span<const std::byte> begin) {
  ProtoReader reader(begin);
  while (reader.next()) {
    if (reader.field() == kRawInputContents && reader.wire_type() == ProtoReader::WireType::kLength) {
      ProtoReader tensor = reader;
      std::uint64_t size_bytes = 0;
      if (!tensor.take_varint(size_bytes)) return 0;
      if (size_bytes > tensor.rest_bytes()) return begin.size() - tensor.rest_bytes();
    }
    if (!reader.skip()) return 0;
  }
  return 0;
}

}  // namespace naiad
