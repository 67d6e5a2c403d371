#include "memory/shape.h"

#include "base/checked.h"

namespace naiad {

std::optional<std::size_t> Shape::num_elements() const {
  std::size_t count = 1;
  bool zero = false;
  for (std::int64_t dim : dims()) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      zero = true;  // keep looking: a later dimension may still be negative
      continue;
    }
    auto product = checked_mul(count, static_cast<std::size_t>(dim));
    if (!product) return std::nullopt;
    count = *product;
  }
  return zero ? 0 : count;
}

std::optional<std::size_t> Shape::size_bytes(DataType dtype) const {
  const std::size_t element = element_size_bytes(dtype);
  const auto count = num_elements();
  if (element == 0 || !count) return std::nullopt;
  return checked_mul(*count, element);
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (std::size_t i = 0; i < rank_; ++i) {
    if (i != 0) text += ',';
    text += std::to_string((*this)[i]);
  }
  return text + "]";
}

}  // namespace naiad
