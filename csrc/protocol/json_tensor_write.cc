#include <cstring>
#include <string>
#include <type_traits>

#include "base/quoted.h"
#include "protocol/json_tensor.h"
#include "protocol/json_writer.h"
#include "protocol/tensor_bytes.h"

namespace naiad {
namespace {

template <typename T>
char* write_number(char* out, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    // FP32 is widened first, as Triton does: a client that reads doubles gets the very value.
    return write_json_double(out, static_cast<double>(value));
  } else {
    return std::to_chars(out, out + kMaxDoubleChars, value).ptr;
  }
}

template <typename T>
void append_numbers(std::string& text, const std::byte* data, std::size_t count) {
  constexpr std::size_t kChunk = 4096;
  char chunk[kChunk];
  char* out = chunk;
  for (std::size_t i = 0; i < count; ++i) {
    if (out + kMaxDoubleChars + 1 > chunk + kChunk) {
      text.append(chunk, out);
      out = chunk;
    }
    if (i != 0) *out++ = ',';
    T value;
    std::memcpy(&value, data + i * sizeof(T), sizeof(T));
    out = write_number(out, value);
  }
  text.append(chunk, out);
}

void append_bools(std::string& text, const std::byte* data, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (i != 0) text += ',';
    text += data[i] != std::byte{0} ? "true" : "false";
  }
}

Status append_strings(std::string& text, std::string_view output_name, const Tensor& tensor) {
  BytesElements elements(tensor.bytes());
  bool first = true;
  while (const auto element = elements.next()) {
    if (!first) text += ',';
    first = false;
    if (!append_json_string(text, *element)) {
      return {Code::kInvalidArgument, "output " + quoted(output_name) +
                                          " holds bytes that are not valid UTF-8 and cannot be sent as JSON. "
                                          "Please use the binary data format for it"};
    }
  }
  return {};
}

Status append_elements(std::string& text, std::string_view output_name, const Tensor& tensor,
                       std::size_t count) {
  switch (tensor.dtype) {
    case DataType::kBool:
      append_bools(text, tensor.data, count);
      break;
    case DataType::kUint8:
      append_numbers<std::uint8_t>(text, tensor.data, count);
      break;
    case DataType::kUint16:
      append_numbers<std::uint16_t>(text, tensor.data, count);
      break;
    case DataType::kUint32:
      append_numbers<std::uint32_t>(text, tensor.data, count);
      break;
    case DataType::kUint64:
      append_numbers<std::uint64_t>(text, tensor.data, count);
      break;
    case DataType::kInt8:
      append_numbers<std::int8_t>(text, tensor.data, count);
      break;
    case DataType::kInt16:
      append_numbers<std::int16_t>(text, tensor.data, count);
      break;
    case DataType::kInt32:
      append_numbers<std::int32_t>(text, tensor.data, count);
      break;
    case DataType::kInt64:
      append_numbers<std::int64_t>(text, tensor.data, count);
      break;
    case DataType::kFp32:
      append_numbers<float>(text, tensor.data, count);
      break;
    case DataType::kFp64:
      append_numbers<double>(text, tensor.data, count);
      break;
    case DataType::kBytes:
      return append_strings(text, output_name, tensor);
    case DataType::kFp16:
    case DataType::kBf16:
    case DataType::kInvalid:
      return {Code::kInvalidArgument,
              "sending " + std::string(dtype_name(tensor.dtype)) +
                  " data via JSON is not supported. Please use the binary data format "
                  "for output " +
                  quoted(output_name)};
  }
  return {};
}

}  // namespace

Status append_json_tensor(std::string& text, std::string_view output_name, const Tensor& tensor) {
  text += '[';
  Status status = append_elements(text, output_name, tensor, tensor.shape.num_elements().value_or(0));
  text += ']';
  return status;
}

}  // namespace naiad
