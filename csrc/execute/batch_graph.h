#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "execute/device_batch.h"
#include "execute/execution.h"
#include "memory/gpu.h"

namespace naiad {

// What a slot has captured of batches of one shape: a graph of the backend's work, and the memory that it
// reads and writes, which is no batch's. Instance thread.
struct BatchGraph {
  bool is_refused = false;  // there will be none
  std::vector<BufferRef> inputs{};
  std::vector<BufferRef> blocks{};  // in the order in which the backend has asked for them
  std::size_t num_taken = 0;        // of these, while it is captured
  std::vector<DeviceBatch::Output> outputs{};
  std::unique_ptr<GpuGraph> graph{};

  std::size_t size_bytes() const;
  // Lets go of all: it is run as it is from now on.
  void refuse();
};

// Those of a slot, by shape. What repeats is captured when it comes for the second time.
class BatchGraphs {
 public:
  static constexpr std::size_t kMaxShapes = 64;

  // The one of a batch of this shape, captured or to be captured with it; null: it is run as it is.
  BatchGraph* of(const Execution& execution);
  // Of all that are captured.
  std::size_t size_bytes() const;

 private:
  std::map<std::string, BatchGraph> by_shape_;
};

}  // namespace naiad
