#include "protocol/v2_http_raw.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/checked.h"
#include "base/quoted.h"

namespace naiad {
namespace {

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// The one input's shape when its bytes are the whole body: batch 1, and what is left over fills the dynamic
// dimension.
Status raw_shape(const ModelSpec& spec, const TensorSpec& input, std::size_t body_bytes, Shape& shape) {
  std::size_t fixed = input.dtype == DataType::kBytes ? 1 : element_size_bytes(input.dtype);
  std::optional<std::size_t> dynamic;
  if (spec.batches()) shape.push_back(1);
  for (const std::int64_t dim : input.dims) {
    if (dim < 0) {
      if (dynamic) {
        return invalid("raw binary request: input " + quoted(input.name) +
                       " has more than one dynamic dimension");
      }
      dynamic = shape.rank();
    } else {
      const auto product = checked_mul(fixed, static_cast<std::size_t>(dim));
      if (!product)
        return invalid("raw binary request: shape of input " + quoted(input.name) + " is too large");
      fixed = *product;
    }
    shape.push_back(dim);
  }
  const std::size_t expected = input.dtype == DataType::kBytes ? 1 : body_bytes;
  if (fixed == 0 ? expected != 0 : dynamic ? expected % fixed != 0 : expected != fixed) {
    return invalid("raw binary request: " + std::to_string(body_bytes) + " bytes do not fit input " +
                   quoted(input.name) + " of datatype " + std::string(dtype_name(input.dtype)) +
                   " and shape " + shape.to_string());
  }
  if (dynamic) shape[*dynamic] = fixed == 0 ? 0 : static_cast<std::int64_t>(expected / fixed);
  return {};
}

// The raw form of a BYTES input: the body is its one element.
Status set_raw_string(std::span<const std::byte> body, TensorPool& pool, Tensor& tensor) {
  std::uint32_t length = 0;
  if (body.size() > std::numeric_limits<std::uint32_t>::max())
    return invalid("raw binary request: body is too large");
  length = static_cast<std::uint32_t>(body.size());
  tensor.size_bytes = sizeof length + body.size();
  tensor.owner = pool.try_allocate(tensor.size_bytes);
  if (!tensor.owner) return {Code::kUnavailable, "tensor memory is exhausted"};
  std::memcpy(tensor.owner->data(), &length, sizeof length);
  if (!body.empty()) std::memcpy(tensor.owner->data() + sizeof length, body.data(), body.size());
  tensor.data = tensor.owner->data();
  return {};
}

}  // namespace

Status decode_raw_v2_http(std::span<const std::byte> body, const ModelSpec* spec, TensorPool& pool,
                          Request& request) {
  if (spec == nullptr) return {Code::kInternal, "a raw binary request needs the model's specification"};
  if (spec->inputs.size() != 1) {
    return invalid("raw binary request: model " + quoted(spec->name) + " has " +
                   std::to_string(spec->inputs.size()) + " inputs, expected 1");
  }
  const TensorSpec& input = spec->inputs.front();
  GivenInput given;
  // The spec may be unloaded before the request is done: the name is the request's own.
  given.name = request.text.emplace_back(input.name);
  given.tensor.dtype = input.dtype;
  if (Status status = raw_shape(*spec, input, body.size(), given.tensor.shape); !status.ok()) return status;
  if (input.dtype == DataType::kBytes) {
    if (Status status = set_raw_string(body, pool, given.tensor); !status.ok()) return status;
  } else {
    given.tensor.data = body.data();
    given.tensor.size_bytes = body.size();
    given.tensor.owner = request.body;
  }
  request.binary_by_default = true;
  request.given_inputs.push_back(std::move(given));
  return {};
}

}  // namespace naiad
