#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "memory/shape.h"
#include "memory/stream_priority.h"
#include "request/queue_policy.h"
#include "request/ragged_spec.h"
#include "request/sequence_spec.h"

namespace naiad {

// One input or output as the model's configuration names it. `dims` leaves the batch dimension out; -1 is
// any size.
struct TensorSpec {
  std::string name;
  DataType dtype = DataType::kInvalid;
  Shape dims;
  std::optional<Shape> reshape;     // what the model itself sees instead of dims
  bool optional = false;            // inputs only
  std::vector<std::string> labels;  // outputs only: the names of its classes
  bool internal = false;            // between the scheduler and the model: no client names it
  bool ragged = false;              // in one row with those of other shapes, without a batch dimension
  bool generated = false;           // inputs only: made when a batch is, of what its requests hold
  bool shape_values = false;  // inputs only: its values set shapes of the model's. One for a whole batch,
                              // without a batch dimension: what runs together has the same
};

// What is run on every instance before it serves (model_configuration.md, "Model Warmup").
struct WarmupSample {
  std::string name;
  std::uint32_t num_requests = 1;                      // of one row each, in one batch
  std::uint32_t count = 1;                             // how often
  std::vector<std::pair<std::size_t, Tensor>> inputs;  // by position, in the model's shape
};

// When a model takes its batches.
struct BatchingSpec {
  bool dynamic = false;                           // false: one request at a time
  std::vector<std::uint32_t> preferred_num_rows;  // ascending; empty: max_batch_size alone
  std::uint64_t max_queue_delay_ns = 0;
  std::uint64_t latency_target_ns = 0;  // given: the delay is found, so that queue and compute stay within it
  bool preserve_ordering = false;       // answers go home in the order in which requests came
  std::vector<QueuePolicy> levels;      // by priority, 1 first; empty: one, with no policy
  std::uint32_t default_priority = 0;   // of a request that names none, or one that there is not

  // Whether a request may wait too long without having said so.
  bool times_out() const {
    for (const QueuePolicy& level : levels) {
      if (level.default_timeout_ns != 0) return true;
    }
    return false;
  }
};

// How a model uses a GPU, of its `optimization`.
struct DeviceSpec {
  StreamPriority priority = StreamPriority::kDefault;  // of the streams of its instances
  std::size_t gather_threshold = 0;    // from so many pieces on an input is gathered by a kernel; 0: never
  std::size_t memory_limit_bytes = 0;  // in blocks of the pool, on each GPU; 0: no limit
  bool graphs = false;                 // CUDA graphs of batches whose shapes come again
};

// What the core has to know of one version of a model: fixed while it is loaded. Made from config.pbtxt by
// the Python side. Any thread reads it.
struct ModelSpec {
  std::string name;
  std::int64_t version = 1;
  std::uint32_t max_batch_size = 0;  // 0: no batch dimension
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  BatchingSpec batching;
  std::vector<BatchInput> batch_inputs;
  std::vector<BatchOutput> batch_outputs;
  std::vector<WarmupSample> warmups;
  std::size_t max_queue_size = 0;  // requests that may wait
  bool cached = false;             // an answer may be one that was given before to the same request
  std::string content;             // of one that is cached beyond this process: what tells it from all others
  bool decoupled = false;          // gives any number of responses to a request
  bool splits_oversize = false;    // a batch over max_batch_size is run in parts
  std::vector<double> first_response_buckets_ms{100, 500, 2000, 5000};  // bounds of that histogram
  bool summaries = false;                        // whether quantiles of what lately was are kept
  DeviceSpec device;                             // of instances on a GPU
  std::shared_ptr<const SequenceSpec> sequence;  // given: its requests belong to sequences

  bool batches() const { return max_batch_size > 0; }
  // Position of an input or output by name. Any thread.
  std::optional<std::size_t> input_index(std::string_view input_name) const {
    return index_of(inputs, input_name);
  }
  std::optional<std::size_t> output_index(std::string_view output_name) const {
    return index_of(outputs, output_name);
  }

 private:
  static std::optional<std::size_t> index_of(const std::vector<TensorSpec>& specs, std::string_view name) {
    for (std::size_t i = 0; i < specs.size(); ++i) {
      if (specs[i].name == name) return i;
    }
    return std::nullopt;
  }
};

}  // namespace naiad
