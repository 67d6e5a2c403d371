#include "protocol/proto_contents.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "base/quoted.h"
#include "protocol/proto_reader.h"

namespace naiad {
namespace {

constexpr std::uint32_t kContentsField = 5;  // of InferInputTensor

using WireType = ProtoReader::WireType;

// Where InferTensorContents keeps the elements of a datatype, and how.
struct ContentField {
  std::uint32_t number;
  WireType wire_type;
};

ContentField content_field(DataType dtype) {
  switch (dtype) {
    case DataType::kBool:
      return {1, WireType::kVarint};
    case DataType::kInt8:
    case DataType::kInt16:
    case DataType::kInt32:
      return {2, WireType::kVarint};
    case DataType::kInt64:
      return {3, WireType::kVarint};
    case DataType::kUint8:
    case DataType::kUint16:
    case DataType::kUint32:
      return {4, WireType::kVarint};
    case DataType::kUint64:
      return {5, WireType::kVarint};
    case DataType::kFp32:
      return {6, WireType::kFixed32};
    case DataType::kFp64:
      return {7, WireType::kFixed64};
    case DataType::kBytes:
      return {8, WireType::kLength};
    case DataType::kFp16:
    case DataType::kBf16:
    case DataType::kInvalid:
      break;
  }
  return {0, WireType::kVarint};
}

// One value without its tag, widened to its 64 bits.
bool take_value(ProtoReader& reader, WireType wire_type, std::uint64_t& bits) {
  if (wire_type == WireType::kVarint) return reader.take_varint(bits);
  if (wire_type == WireType::kFixed64) return reader.take_fixed64(bits);
  std::uint32_t narrow = 0;
  const bool taken = reader.take_fixed32(narrow);
  bits = narrow;
  return taken;
}

// Calls `element` for each element of one occurrence of a field: a packed run, a single value, or bytes.
template <typename Element>
Status read_occurrence(ProtoReader& reader, WireType wire_type, Element element) {
  std::span<const std::byte> bytes;
  if (wire_type == WireType::kLength) {
    return reader.read_bytes(bytes) ? element(0, bytes) : reader.status();
  }
  std::uint64_t bits = 0;
  if (reader.wire_type() == wire_type) {
    return take_value(reader, wire_type, bits) ? element(bits, bytes) : reader.status();
  }
  if (!reader.read_bytes(bytes)) return reader.status();
  ProtoReader packed(bytes);
  while (!packed.empty()) {
    if (!take_value(packed, wire_type, bits)) return packed.status();
    if (Status status = element(bits, {}); !status.ok()) return status;
  }
  return {};
}

Status other_field(const GivenInput& input) {
  return {Code::kInvalidArgument, "contents of input " + quoted(input.name) + " are not those of datatype " +
                                      std::string(dtype_name(input.tensor.dtype))};
}

// Calls `element(bits, bytes)`, which returns a Status, for each element. A contents message that is given
// more than once is merged, as protobuf has it: its elements follow one another.
template <typename Element>
Status for_each_element(std::span<const std::byte> input_message, const GivenInput& input, Element element) {
  const ContentField field = content_field(input.tensor.dtype);
  ProtoReader outer(input_message);
  while (outer.next()) {
    if (outer.field() != kContentsField) {
      outer.skip();
      continue;
    }
    std::span<const std::byte> contents;
    if (!outer.read_bytes(contents)) break;
    ProtoReader reader(contents);
    while (reader.next()) {
      if (reader.field() == field.number) {
        if (Status status = read_occurrence(reader, field.wire_type, element); !status.ok()) return status;
      } else if (reader.field() <= 8) {
        return other_field(input);
      } else {
        reader.skip();
      }
    }
    if (reader.failed()) return reader.status();
  }
  return outer.status();
}

Status wrong_count(const GivenInput& input, std::string_view model_name, std::size_t got,
                   std::size_t expected) {
  return {Code::kInvalidArgument, "unexpected explicit tensor data for input " + quoted(input.name) +
                                      " for model " + quoted(model_name) + ": got " + std::to_string(got) +
                                      " elements, expected " + std::to_string(expected) + " for shape " +
                                      input.tensor.shape.to_string()};
}

template <typename T>
Status write_element(const GivenInput& input, std::uint64_t bits, std::byte* out) {
  T value{};
  if constexpr (std::is_same_v<T, bool>) {
    value = bits != 0;
  } else if constexpr (std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::int64_t>) {
    value = static_cast<T>(bits);
  } else if constexpr (std::is_integral_v<T>) {
    // int_contents and uint_contents have 32 bits on the wire: what is above is dropped, as protobuf does.
    using Wire = std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>;
    const auto wide = static_cast<Wire>(static_cast<std::uint32_t>(bits));
    if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max()) {
      return {Code::kInvalidArgument, "contents of input " + quoted(input.name) + ": expected " +
                                          std::string(dtype_name(input.tensor.dtype)) + ", got " +
                                          std::to_string(wide)};
    }
    value = static_cast<T>(wide);
  } else if constexpr (std::is_same_v<T, float>) {
    value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  } else {
    value = std::bit_cast<double>(bits);
  }
  std::memcpy(out, &value, sizeof value);
  return {};
}

using ElementWriter = Status (*)(const GivenInput&, std::uint64_t, std::byte*);

ElementWriter element_writer(DataType dtype) {
  switch (dtype) {
    case DataType::kBool:
      return write_element<bool>;
    case DataType::kUint8:
      return write_element<std::uint8_t>;
    case DataType::kUint16:
      return write_element<std::uint16_t>;
    case DataType::kUint32:
      return write_element<std::uint32_t>;
    case DataType::kUint64:
      return write_element<std::uint64_t>;
    case DataType::kInt8:
      return write_element<std::int8_t>;
    case DataType::kInt16:
      return write_element<std::int16_t>;
    case DataType::kInt32:
      return write_element<std::int32_t>;
    case DataType::kInt64:
      return write_element<std::int64_t>;
    case DataType::kFp32:
      return write_element<float>;
    case DataType::kFp64:
      return write_element<double>;
    default:
      return nullptr;
  }
}

// The bytes that the elements take as a tensor; checks that there are as many as the shape says.
Status measure(std::span<const std::byte> input_message, std::string_view model_name,
               const DecodeLimits& limits, const GivenInput& input, std::size_t& size_bytes) {
  const bool strings = input.tensor.dtype == DataType::kBytes;
  const std::size_t expected = *input.tensor.shape.num_elements();
  std::size_t count = 0;
  size_bytes = 0;
  Status status =
      for_each_element(input_message, input, [&](std::uint64_t, std::span<const std::byte> bytes) {
        ++count;
        size_bytes += strings ? sizeof(std::uint32_t) + bytes.size() : element_size_bytes(input.tensor.dtype);
        return Status{};
      });
  if (!status.ok()) return status;
  if (count != expected) return wrong_count(input, model_name, count, expected);
  if (size_bytes <= limits.max_tensor_bytes) return {};
  return {Code::kInvalidArgument, "input " + quoted(input.name) + " takes " + std::to_string(size_bytes) +
                                      " bytes, which exceeds the maximum of " +
                                      std::to_string(limits.max_tensor_bytes) +
                                      " bytes for a tensor that is not sent as raw contents"};
}

}  // namespace

Status read_proto_contents(std::span<const std::byte> input_message, std::string_view model_name,
                           TensorPool& pool, const DecodeLimits& limits, GivenInput& input) {
  Tensor& tensor = input.tensor;
  if (content_field(tensor.dtype).number == 0) {
    return {Code::kInvalidArgument, "input " + quoted(input.name) + " of datatype " +
                                        std::string(dtype_name(tensor.dtype)) +
                                        " must be sent in raw_input_contents"};
  }
  std::size_t size_bytes = 0;
  if (Status status = measure(input_message, model_name, limits, input, size_bytes); !status.ok())
    return status;
  tensor.owner = pool.try_allocate(size_bytes);
  if (!tensor.owner) {
    return {Code::kUnavailable, "tensor memory is exhausted: no " + std::to_string(size_bytes) +
                                    " bytes for input " + quoted(input.name)};
  }
  tensor.data = tensor.owner->data();
  tensor.size_bytes = size_bytes;
  std::byte* out = tensor.owner->data();
  if (tensor.dtype == DataType::kBytes) {
    return for_each_element(input_message, input, [&](std::uint64_t, std::span<const std::byte> bytes) {
      const auto length = static_cast<std::uint32_t>(bytes.size());
      std::memcpy(out, &length, sizeof length);
      if (!bytes.empty()) std::memcpy(out + sizeof length, bytes.data(), bytes.size());
      out += sizeof length + bytes.size();
      return Status{};
    });
  }
  const ElementWriter write = element_writer(tensor.dtype);
  const std::size_t step = element_size_bytes(tensor.dtype);
  return for_each_element(input_message, input, [&](std::uint64_t bits, std::span<const std::byte>) {
    std::byte* const at = out;
    out += step;
    return write(input, bits, at);
  });
}

}  // namespace naiad
