#include "protocol/tensor_bytes.h"

#include <algorithm>
#include <string>

#include "base/quoted.h"

namespace naiad {
namespace {

std::string of(std::string_view input_name, std::string_view model_name) {
  return "input " + quoted(input_name) + " for model " + quoted(model_name);
}

Status unexpected_count(std::string_view input_name, std::size_t got, std::size_t expected) {
  return {Code::kInvalidArgument, "unexpected number of string elements " + std::to_string(got) +
                                      " for inference input " + quoted(input_name) + ", expecting " +
                                      std::to_string(expected)};
}

Status check_bytes_elements(std::string_view input_name, const Tensor& tensor, std::size_t expected) {
  BytesElements elements(tensor.bytes());
  std::size_t count = 0;
  while (elements.next()) {
    if (++count > expected) return unexpected_count(input_name, count, expected);
  }
  const auto rest = elements.rest();
  if (rest.empty()) return count == expected ? Status{} : unexpected_count(input_name, count, expected);
  std::uint32_t length = 0;
  if (rest.size() < sizeof length) {
    return {Code::kInvalidArgument, "incomplete string length indicator for inference input " +
                                        quoted(input_name) + ", expecting 4 bytes but only " +
                                        std::to_string(rest.size()) + " bytes available"};
  }
  std::memcpy(&length, rest.data(), sizeof length);
  return {Code::kInvalidArgument, "incomplete string data for inference input " + quoted(input_name) +
                                      ", expecting string of length " + std::to_string(length) +
                                      " bytes but only " + std::to_string(rest.size() - sizeof length) +
                                      " bytes available"};
}

}  // namespace

Status check_shape(std::string_view input_name, std::string_view model_name, const Shape& shape) {
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; })) {
    return {Code::kInvalidArgument,
            "shape " + shape.to_string() + " of " + of(input_name, model_name) + " has a negative dimension"};
  }
  if (!shape.num_elements()) {
    return {Code::kInvalidArgument, "shape " + shape.to_string() + " of " + of(input_name, model_name) +
                                        " causes total element count to exceed the maximum size"};
  }
  return {};
}

Status check_tensor_bytes(std::string_view input_name, std::string_view model_name, const Tensor& tensor) {
  if (Status status = check_shape(input_name, model_name, tensor.shape); !status.ok()) return status;
  if (tensor.dtype == DataType::kBytes) {
    return check_bytes_elements(input_name, tensor, *tensor.shape.num_elements());
  }
  const auto expected = tensor.shape.size_bytes(tensor.dtype);
  if (!expected) {
    return {Code::kInvalidArgument, "shape " + tensor.shape.to_string() + " of " +
                                        of(input_name, model_name) +
                                        " causes total byte size to exceed the maximum size"};
  }
  if (*expected == tensor.size_bytes) return {};
  return {Code::kInvalidArgument, "input byte size mismatch for " + of(input_name, model_name) +
                                      ". Expected " + std::to_string(*expected) + ", got " +
                                      std::to_string(tensor.size_bytes)};
}

}  // namespace naiad
