#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>

#include "base/checked.h"
#include "base/dtype.h"
#include "base/quoted.h"
#include "protocol/json_tensor.h"

namespace naiad {
namespace {

Status wrong_element(const GivenInput& input, std::string_view got) {
  return {Code::kInvalidArgument, "unable to parse 'data' of input " + quoted(input.name) + ": expected " +
                                      std::string(dtype_name(input.tensor.dtype)) + ", got " +
                                      std::string(got.substr(0, 64))};
}

std::string_view kind_name(JsonReader::Kind kind) {
  switch (kind) {
    case JsonReader::Kind::kObject:
      return "an object";
    case JsonReader::Kind::kArray:
      return "an array";
    case JsonReader::Kind::kString:
      return "a string";
    case JsonReader::Kind::kNumber:
      return "a number";
    case JsonReader::Kind::kBool:
      return "a boolean";
    case JsonReader::Kind::kNull:
      return "null";
    case JsonReader::Kind::kOther:
      break;
  }
  return "no JSON value";
}

Status wrong_count(const GivenInput& input, std::string_view got, std::size_t expected) {
  return {Code::kInvalidArgument, "unable to parse 'data' of input " + quoted(input.name) +
                                      ": shape does not match true shape of 'data' field: got " +
                                      std::string(got) + " elements, expected " + std::to_string(expected) +
                                      " for shape " + input.tensor.shape.to_string()};
}

// Calls `element()` for each scalar of the array that comes next; it returns a Status. The array must hold
// `count` of them.
template <typename Element>
Status for_each_scalar(JsonReader& reader, const GivenInput& input, std::size_t count, Element element) {
  if (!reader.enter_array()) return reader.status();
  std::size_t level = 1;
  std::size_t seen = 0;
  while (level > 0) {
    if (!reader.next_element()) {
      if (reader.failed()) return reader.status();
      --level;
      continue;
    }
    const JsonReader::Kind kind = reader.peek();
    if (kind == JsonReader::Kind::kArray) {
      if (!reader.enter_array()) return reader.status();
      ++level;
      continue;
    }
    if (seen == count) return wrong_count(input, "more than " + std::to_string(count), count);
    ++seen;
    if (Status status = element(kind); !status.ok()) return status;
  }
  return seen == count ? Status{} : wrong_count(input, std::to_string(seen), count);
}

// A number as T; empty when it is not one of T's values.
template <typename T>
std::optional<T> convert(const JsonNumber& number) {
  if constexpr (std::is_same_v<T, float>) {
    return number.to_float();
  } else if constexpr (std::is_same_v<T, double>) {
    return number.to_double();
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    return number.to_uint64();
  } else {
    const auto wide = number.to_int64();
    if (!wide || *wide < std::numeric_limits<T>::min() || *wide > std::numeric_limits<T>::max())
      return std::nullopt;
    return static_cast<T>(*wide);
  }
}

Status allocate(TensorPool& pool, std::size_t size_bytes, GivenInput& input) {
  input.tensor.owner = pool.try_allocate(size_bytes);
  if (!input.tensor.owner) {
    return {Code::kUnavailable, "tensor memory is exhausted: no " + std::to_string(size_bytes) +
                                    " bytes for input " + quoted(input.name)};
  }
  input.tensor.data = input.tensor.owner->data();
  input.tensor.size_bytes = size_bytes;
  return {};
}

template <typename T>
Status read_numbers(JsonReader& reader, GivenInput& input, std::size_t count) {
  T* out = reinterpret_cast<T*>(input.tensor.owner->data());
  return for_each_scalar(reader, input, count, [&](JsonReader::Kind kind) -> Status {
    if (kind != JsonReader::Kind::kNumber) return wrong_element(input, kind_name(kind));
    JsonNumber number;
    if (!reader.read_number(number, std::is_floating_point_v<T>)) return reader.status();
    const auto value = convert<T>(number);
    if (!value) return wrong_element(input, number.text);
    *out++ = *value;
    return {};
  });
}

Status read_bools(JsonReader& reader, GivenInput& input, std::size_t count) {
  auto* out = input.tensor.owner->data();
  return for_each_scalar(reader, input, count, [&](JsonReader::Kind kind) -> Status {
    if (kind != JsonReader::Kind::kBool) return wrong_element(input, kind_name(kind));
    bool value = false;
    if (!reader.read_bool(value)) return reader.status();
    *out++ = static_cast<std::byte>(value);
    return {};
  });
}

Status too_large(const GivenInput& input, std::size_t size_bytes, std::size_t limit) {
  return {Code::kInvalidArgument, "input " + quoted(input.name) + " takes " + std::to_string(size_bytes) +
                                      " bytes, which exceeds the maximum of " + std::to_string(limit) +
                                      " bytes for a tensor that is not sent as binary data"};
}

// Strings are read twice: to learn the size of their wire form, then to write it.
Status read_strings(JsonReader& reader, TensorPool& pool, const DecodeLimits& limits, std::size_t count,
                    GivenInput& input) {
  JsonReader first_pass = reader;
  std::size_t size_bytes = 0;
  Status status = for_each_scalar(first_pass, input, count, [&](JsonReader::Kind kind) -> Status {
    if (kind != JsonReader::Kind::kString) return wrong_element(input, kind_name(kind));
    std::size_t length = 0;
    if (!first_pass.measure_string(length)) return first_pass.status();
    const auto total = checked_add(size_bytes, length + sizeof(std::uint32_t));
    if (!total || *total > limits.max_tensor_bytes || length > std::numeric_limits<std::uint32_t>::max()) {
      return too_large(input, total.value_or(std::numeric_limits<std::size_t>::max()),
                       limits.max_tensor_bytes);
    }
    size_bytes = *total;
    return {};
  });
  if (!status.ok()) return status;
  if (status = allocate(pool, size_bytes, input); !status.ok()) return status;
  std::byte* out = input.tensor.owner->data();
  return for_each_scalar(reader, input, count, [&](JsonReader::Kind) -> Status {
    std::size_t length = 0;
    if (!reader.copy_string(out + sizeof(std::uint32_t), length)) return reader.status();
    const auto prefix = static_cast<std::uint32_t>(length);
    std::memcpy(out, &prefix, sizeof prefix);
    out += sizeof prefix + length;
    return {};
  });
}

Status read_fixed_size(JsonReader& reader, std::size_t count, GivenInput& input) {
  switch (input.tensor.dtype) {
    case DataType::kBool:
      return read_bools(reader, input, count);
    case DataType::kUint8:
      return read_numbers<std::uint8_t>(reader, input, count);
    case DataType::kUint16:
      return read_numbers<std::uint16_t>(reader, input, count);
    case DataType::kUint32:
      return read_numbers<std::uint32_t>(reader, input, count);
    case DataType::kUint64:
      return read_numbers<std::uint64_t>(reader, input, count);
    case DataType::kInt8:
      return read_numbers<std::int8_t>(reader, input, count);
    case DataType::kInt16:
      return read_numbers<std::int16_t>(reader, input, count);
    case DataType::kInt32:
      return read_numbers<std::int32_t>(reader, input, count);
    case DataType::kInt64:
      return read_numbers<std::int64_t>(reader, input, count);
    case DataType::kFp32:
      return read_numbers<float>(reader, input, count);
    case DataType::kFp64:
      return read_numbers<double>(reader, input, count);
    default:
      return {Code::kInternal, "unexpected datatype"};
  }
}

}  // namespace

Status read_json_tensor(JsonReader& reader, TensorPool& pool, const DecodeLimits& limits, GivenInput& input) {
  const DataType dtype = input.tensor.dtype;
  if (dtype == DataType::kFp16 || dtype == DataType::kBf16) {
    const std::string name(dtype_name(dtype));
    return {Code::kInvalidArgument, "receiving " + name + " data via JSON is not supported. Please use the " +
                                        "binary data format for input " + quoted(input.name)};
  }
  if (reader.peek() != JsonReader::Kind::kArray) {
    return {Code::kInvalidArgument, "unable to parse 'data' of input " + quoted(input.name) +
                                        ": expected an array, got " + std::string(kind_name(reader.peek()))};
  }
  const std::size_t count = *input.tensor.shape.num_elements();
  // Every element takes a character and, but for the last one, a comma: no more are in the text.
  if (count > reader.remaining() / 2 + 1) return wrong_count(input, "fewer", count);
  if (dtype == DataType::kBytes) return read_strings(reader, pool, limits, count, input);
  const auto size_bytes = input.tensor.shape.size_bytes(dtype);
  if (!size_bytes || *size_bytes > limits.max_tensor_bytes) {
    return too_large(input, size_bytes.value_or(std::numeric_limits<std::size_t>::max()),
                     limits.max_tensor_bytes);
  }
  if (Status status = allocate(pool, *size_bytes, input); !status.ok()) return status;
  return read_fixed_size(reader, count, input);
}

}  // namespace naiad
