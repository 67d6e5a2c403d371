#include "execute/rows.h"

#include <cstring>
#include <string>

#include "base/error.h"

namespace naiad {
namespace {

// `to`, its -1 replaced in order by the sizes that stand at the -1 of `from` in `shape`. Empty when shape is
// not of the form of `from`. `batches`: shape has the batch dimension before.
std::optional<Shape> transfer(const Shape& from, const Shape& to, const Shape& shape, bool batches) {
  const std::size_t lead = batches ? 1 : 0;
  if (shape.rank() != from.rank() + lead) return std::nullopt;
  Shape out;
  if (batches) out.push_back(shape[0]);
  std::size_t i = 0;
  for (std::int64_t dim : to) {
    if (dim >= 0) {
      out.push_back(dim);
      continue;
    }
    while (i < from.rank() && from[i] >= 0) ++i;
    if (i == from.rank()) return std::nullopt;
    out.push_back(shape[lead + i]);
    ++i;
  }
  if (out.num_elements() != shape.num_elements()) return std::nullopt;
  return out;
}

}  // namespace

Tensor RowCutter::next(std::uint32_t num_rows) {
  Tensor rows = batch_;
  rows.shape[0] = num_rows;
  rows.data = next_;
  rows.size_bytes = size_of(num_rows);
  next_ += rows.size_bytes;
  return rows;
}

std::size_t RowCutter::size_of(std::uint32_t num_rows) const {
  if (batch_.dtype != DataType::kBytes) {
    const auto all_rows = static_cast<std::size_t>(batch_.shape[0]);
    return all_rows == 0 ? 0 : batch_.size_bytes / all_rows * num_rows;
  }
  const std::size_t per_row = Shape(batch_.shape.tail()).num_elements().value_or(0);
  const std::byte* const end = batch_.data + batch_.size_bytes;
  const std::byte* at = next_;
  for (std::size_t i = 0; i < per_row * num_rows; ++i) {
    std::uint32_t length = 0;
    if (static_cast<std::size_t>(end - at) < sizeof length)
      throw Error(Code::kInternal, "BYTES output ends early");
    std::memcpy(&length, at, sizeof length);
    at += sizeof length;
    if (static_cast<std::size_t>(end - at) < length) throw Error(Code::kInternal, "BYTES output ends early");
    at += length;
  }
  return static_cast<std::size_t>(at - next_);
}

Shape undo_reshape(const TensorSpec& spec, const Shape& shape, bool batches) {
  auto out = transfer(*spec.reshape, spec.dims, shape, batches);
  if (!out) {
    throw Error(Code::kInternal, "output '" + spec.name + "' has shape " + shape.to_string() +
                                     ", which does not fit its reshape " + spec.reshape->to_string());
  }
  return *out;
}

Shape apply_reshape(const TensorSpec& spec, const Shape& shape, bool batches) {
  auto out = transfer(spec.dims, *spec.reshape, shape, batches);
  if (!out) {
    throw Error(Code::kInvalidArgument, "input '" + spec.name + "' of shape " + shape.to_string() +
                                            " cannot be reshaped to " + spec.reshape->to_string());
  }
  return *out;
}

}  // namespace naiad
