#include "engine/joined_response.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "execute/response_sender.h"

namespace naiad {
namespace {

const Tensor* find_output(const Response& response, std::size_t index) {
  const auto found = std::ranges::find(response.outputs, index, &OutputTensor::index);
  return found == response.outputs.end() ? nullptr : &found->tensor;
}

[[noreturn]] void refuse(const ModelSpec& model, std::size_t index, const std::string& what) {
  throw Error(Code::kInternal,
              "output '" + model.outputs[index].name + "' of model '" + model.name + "' " + what);
}

bool same_rows(const Tensor& a, const Tensor& b) {
  return a.dtype == b.dtype && std::ranges::equal(a.shape.tail(), b.shape.tail());
}

Tensor join(const ModelSpec& model, std::size_t index, std::span<const Response> parts,
            std::span<const std::uint32_t> num_rows, TensorPool& pool) {
  std::vector<const Tensor*> rows;
  std::size_t size_bytes = 0;
  std::int64_t num_all = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Tensor* const tensor = find_output(parts[i], index);
    if (tensor == nullptr) refuse(model, index, "was given for some parts of a split batch and not for all");
    if (tensor->shape.empty() || tensor->shape[0] != static_cast<std::int64_t>(num_rows[i])) {
      refuse(model, index,
             "has shape " + tensor->shape.to_string() + " for a part of " + std::to_string(num_rows[i]) +
                 " rows of a split batch");
    }
    if (!rows.empty() && !same_rows(*rows.front(), *tensor)) {
      refuse(model, index,
             "has shape " + tensor->shape.to_string() + " for one part of a split batch and " +
                 rows.front()->shape.to_string() + " for another one");
    }
    rows.push_back(tensor);
    size_bytes += tensor->size_bytes;
    num_all += tensor->shape[0];
  }
  BufferRef block = allocate_output(pool, size_bytes);
  std::byte* end = block->data();
  for (const Tensor* const tensor : rows) {
    if (tensor->size_bytes != 0) std::memcpy(end, tensor->data, tensor->size_bytes);
    end += tensor->size_bytes;
  }
  Tensor joined{rows.front()->dtype, rows.front()->shape, block->data(), size_bytes, std::move(block)};
  joined.shape[0] = num_all;
  return joined;
}

}  // namespace

Response join_responses(const ModelSpec& model, std::span<const Response> parts,
                        std::span<const std::uint32_t> num_rows, TensorPool& pool) {
  Response whole;
  try {
    for (std::size_t index = 0; index < model.outputs.size(); ++index) {
      const auto has_it = [&](const Response& part) { return find_output(part, index) != nullptr; };
      if (std::ranges::none_of(parts, has_it)) continue;
      whole.outputs.push_back({index, join(model, index, parts, num_rows, pool)});
    }
  } catch (const Error& error) {
    return {error.status(), {}, {}};
  }
  for (const Response& part : parts) {
    for (const Parameter& parameter : part.parameters) {
      if (find_parameter(whole.parameters, parameter.name) == nullptr) whole.parameters.push_back(parameter);
    }
  }
  return whole;
}

}  // namespace naiad
