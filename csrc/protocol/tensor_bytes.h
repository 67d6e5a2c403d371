#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "memory/tensor.h"

namespace naiad {

// Steps through the elements of a BYTES tensor in wire form (u32 little-endian length + bytes).
class BytesElements {
 public:
  explicit BytesElements(std::span<const std::byte> bytes) : rest_(bytes) {}

  // The next element; empty at the end and where the lengths do not add up (then rest() is not empty).
  std::optional<std::string_view> next() {
    std::uint32_t length = 0;
    if (rest_.size() < sizeof length) return std::nullopt;
    std::memcpy(&length, rest_.data(), sizeof length);
    if (rest_.size() - sizeof length < length) return std::nullopt;
    const std::string_view element(reinterpret_cast<const char*>(rest_.data()) + sizeof length, length);
    rest_ = rest_.subspan(sizeof length + length);
    return element;
  }
  std::span<const std::byte> rest() const { return rest_; }

 private:
  std::span<const std::byte> rest_;
};

// Checks that `tensor`'s bytes are what its dtype and shape say: their number, and for BYTES the length of
// each element and the count. kInvalidArgument in Triton's words. Any thread.
Status check_tensor_bytes(std::string_view input_name, std::string_view model_name, const Tensor& tensor);

// Checks that a shape from the wire has no negative dimension and a countable number of elements. Any thread.
Status check_shape(std::string_view input_name, std::string_view model_name, const Shape& shape);

}  // namespace naiad
