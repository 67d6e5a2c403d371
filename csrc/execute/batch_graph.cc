#include "execute/batch_graph.h"

#include <cstdint>
#include <numeric>
#include <string_view>

namespace naiad {
namespace {

std::size_t bytes_of(const std::vector<BufferRef>& blocks) {
  return std::accumulate(
      blocks.begin(), blocks.end(), std::size_t{0},
      [](std::size_t sum, const BufferRef& block) { return sum + (block ? block->size_bytes() : 0); });
}

void append(std::string& key, std::int64_t number) {
  key += std::string_view(reinterpret_cast<const char*>(&number), sizeof number);
}

// What the work of a batch depends on. Empty: on more than shapes.
std::string key_of(const Execution& execution) {
  std::string key;
  append(key, execution.num_rows());
  const ModelSpec& model = execution.model();
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const Tensor& tensor = execution.request(0).inputs[i];
    append(key, tensor.present() ? static_cast<std::int64_t>(tensor.shape.rank()) : -1);
    if (!tensor.present()) continue;
    if (stays_on_host(model.inputs[i]) || model.inputs[i].ragged) return {};
    // The rows are those of the batch.
    for (std::size_t dim = model.batches() ? 1 : 0; dim < tensor.shape.rank(); ++dim) {
      append(key, tensor.shape[dim]);
    }
  }
  return key;
}

}  // namespace

std::size_t BatchGraph::size_bytes() const {
  return bytes_of(inputs) + bytes_of(blocks);
}

void BatchGraph::refuse() {
  is_refused = true;
  graph.reset();
  outputs.clear();
  blocks.clear();
  inputs.clear();
}

BatchGraph* BatchGraphs::of(const Execution& execution) {
  const std::string key = key_of(execution);
  if (key.empty()) return nullptr;
  auto found = by_shape_.find(key);
  if (found == by_shape_.end()) {
    if (by_shape_.size() < kMaxShapes) by_shape_.try_emplace(key);
    return nullptr;
  }
  return found->second.is_refused ? nullptr : &found->second;
}

std::size_t BatchGraphs::size_bytes() const {
  return std::accumulate(by_shape_.begin(), by_shape_.end(), std::size_t{0},
                         [](std::size_t sum, const auto& each) { return sum + each.second.size_bytes(); });
}

}  // namespace naiad
