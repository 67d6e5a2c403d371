#include "backends/onnx_strings.h"

#include <cstring>
#include <vector>

namespace naiad {
namespace {

constexpr std::size_t kLengthSize = sizeof(std::uint32_t);

// The wire is little-endian whatever the machine is.
std::uint32_t read_u32(const std::byte* from) {
  return std::to_integer<std::uint32_t>(from[0]) | std::to_integer<std::uint32_t>(from[1]) << 8 |
         std::to_integer<std::uint32_t>(from[2]) << 16 | std::to_integer<std::uint32_t>(from[3]) << 24;
}

void write_u32(std::byte* to, std::uint32_t value) {
  for (unsigned i = 0; i < kLengthSize; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

}  // namespace

OnnxOwned<ort::Value> string_value_from(const OnnxRuntime& runtime, const Tensor& tensor,
                                        const std::string& input) {
  const ort::Api& api = runtime.api();
  const std::size_t count = tensor.shape.num_elements().value_or(0);
  std::span<const std::byte> left = tensor.bytes();
  const auto refuse = [&] {
    throw Error(Code::kInvalidArgument, "input '" + input + "': its bytes do not hold exactly the " +
                                            std::to_string(count) + " BYTES elements that shape " +
                                            tensor.shape.to_string() + " expects");
  };
  if (count > left.size() / kLengthSize) refuse();  // before the library allocates by the shape's word
  ort::Value* made = nullptr;
  runtime.check(
      api.create_tensor(runtime.allocator(), tensor.shape.data(), tensor.shape.rank(), ort::kString, &made));
  auto value = OnnxRuntime::own(made, api.release_value);
  for (std::size_t i = 0; i < count; ++i) {
    if (left.size() < kLengthSize) refuse();
    const std::size_t size_bytes = read_u32(left.data());
    left = left.subspan(kLengthSize);
    if (size_bytes > left.size()) refuse();
    char* room = nullptr;
    runtime.check(api.string_element_buffer(made, i, size_bytes, &room));
    if (size_bytes != 0) std::memcpy(room, left.data(), size_bytes);
    left = left.subspan(size_bytes);
  }
  if (!left.empty()) refuse();
  return value;
}

Tensor bytes_from(const OnnxRuntime& runtime, const ort::Value& value, const Shape& shape,
                  Execution& execution) {
  const ort::Api& api = runtime.api();
  const std::size_t count = shape.num_elements().value_or(0);
  std::size_t text_size_bytes = 0;
  runtime.check(api.string_tensor_data_length(&value, &text_size_bytes));
  std::vector<char> text(text_size_bytes);
  std::vector<std::size_t> offsets(count);
  runtime.check(api.string_tensor_content(&value, text.data(), text.size(), offsets.data(), count));

  const std::size_t size_bytes = text_size_bytes + count * kLengthSize;
  BufferRef block = execution.allocate(size_bytes);
  std::byte* to = block->data();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t length = (i + 1 < count ? offsets[i + 1] : text_size_bytes) - offsets[i];
    write_u32(to, static_cast<std::uint32_t>(length));
    if (length != 0) std::memcpy(to + kLengthSize, text.data() + offsets[i], length);
    to += kLengthSize + length;
  }
  return {DataType::kBytes, shape, block->data(), size_bytes, std::move(block)};
}

}  // namespace naiad
