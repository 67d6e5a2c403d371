#include "execute/ragged.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.h"
#include "execute/response_sender.h"

namespace naiad {
namespace {

std::int64_t num_elements(const Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.shape.num_elements().value_or(0));
}

std::vector<std::int64_t> values_of(const BatchInput& made, const Requests& requests) {
  std::vector<std::int64_t> values;
  std::int64_t sum = 0;
  if (made.kind == BatchInputKind::kAccumulatedElementCountWithZero) values.push_back(0);
  for (const auto& request : requests) {
    const Tensor& source = request->inputs[made.source];
    switch (made.kind) {
      case BatchInputKind::kElementCount:
        values.push_back(num_elements(source));
        break;
      case BatchInputKind::kAccumulatedElementCount:
      case BatchInputKind::kAccumulatedElementCountWithZero:
        values.push_back(sum += num_elements(source));
        break;
      case BatchInputKind::kMaxElementCountAsShape:
        sum = std::max(sum, num_elements(source));
        break;
      case BatchInputKind::kItemShape:
      case BatchInputKind::kItemShapeFlatten:
        for (std::uint32_t row = 0; row < request->num_rows; ++row) {
          for (const std::int64_t dim : source.shape.tail()) values.push_back(dim);
        }
        break;
    }
  }
  if (made.kind == BatchInputKind::kMaxElementCountAsShape) values.assign(static_cast<std::size_t>(sum), 0);
  return values;
}

}  // namespace

Tensor gather_ragged(const Requests& requests, std::size_t index, TensorPool& pool) {
  const Tensor& first = requests.front()->inputs[index];
  if (!first.present()) return {};
  std::size_t size_bytes = 0;
  std::int64_t count = 0;
  for (const auto& request : requests) {
    size_bytes += request->inputs[index].size_bytes;
    count += num_elements(request->inputs[index]);
  }
  BufferRef block = allocate_output(pool, size_bytes);
  std::byte* end = block->data();
  for (const auto& request : requests) {
    const Tensor& part = request->inputs[index];
    if (part.size_bytes != 0) std::memcpy(end, part.data, part.size_bytes);
    end += part.size_bytes;
  }
  return {first.dtype, Shape{count}, block->data(), size_bytes, std::move(block)};
}

Tensor make_batch_input(const BatchInput& made, DataType dtype, const Requests& requests, TensorPool& pool) {
  const std::vector<std::int64_t> values = values_of(made, requests);
  const auto count = static_cast<std::int64_t>(values.size());
  Shape shape{count};
  if (made.kind == BatchInputKind::kItemShape) {
    const auto rank = static_cast<std::int64_t>(requests.front()->inputs[made.source].shape.tail().size());
    shape = Shape{rank == 0 ? 0 : count / rank, rank};
  }
  const std::size_t size_bytes = values.size() * element_size_bytes(dtype);
  BufferRef block = allocate_output(pool, size_bytes);
  std::byte* end = block->data();
  for (const std::int64_t value : values) {
    if (dtype == DataType::kFp32) {
      const auto number = static_cast<float>(value);
      std::memcpy(end, &number, sizeof number);
    } else {
      const auto number = static_cast<std::int32_t>(value);
      std::memcpy(end, &number, sizeof number);
    }
    end += element_size_bytes(dtype);
  }
  return {dtype, std::move(shape), block->data(), size_bytes, std::move(block)};
}

Tensor scatter_output(const TensorSpec& spec, const Tensor& tensor, const Tensor& source, bool batches,
                      std::size_t& offset) {
  const std::size_t lead = batches ? 1 : 0;
  Shape shape;
  if (batches) shape.push_back(source.shape[0]);
  for (std::size_t i = 0; i < spec.dims.rank(); ++i) {
    const bool is_free = spec.dims[i] < 0 && lead + i < source.shape.rank();
    shape.push_back(is_free ? source.shape[lead + i] : spec.dims[i]);
  }
  const auto size_bytes = shape.size_bytes(tensor.dtype);
  if (!size_bytes || *size_bytes > tensor.size_bytes - offset) {
    throw Error(Code::kInternal, "output '" + spec.name + "' has " + std::to_string(tensor.size_bytes) +
                                     " bytes, too few for shape " + shape.to_string() +
                                     " of a request, which is that of its input");
  }
  const std::byte* const data = tensor.data + offset;
  offset += *size_bytes;
  return {tensor.dtype, std::move(shape), data, *size_bytes, tensor.owner};
}

}  // namespace naiad
