#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/dtype.h"
#include "memory/tensor.h"

namespace naiad {

// What a control input tells the model of each request.
enum class SequenceControl : unsigned char { kStart, kEnd, kReady, kCorrelationId };

// When a model takes requests that belong together in sequences, and what it is told of them
// (model_configuration.md, "Sequence Batcher"). Made from config.pbtxt by the Python side; fixed while the
// model is loaded. Any thread reads it.
struct SequenceSpec {
  // An input that the scheduler fills in, at `input` of ModelSpec::inputs.
  struct Control {
    SequenceControl kind = SequenceControl::kStart;
    std::size_t input = 0;
    // Not of a correlation id: one element each, in the input's datatype and shape.
    Tensor when_false;
    Tensor when_true;
  };

  // A tensor that the scheduler keeps between the requests of a sequence: output `output` of one request is
  // input `input` of the next one.
  struct State {
    std::size_t input = 0;
    std::size_t output = 0;
    Tensor initial;  // of the first request, in the model's shape
  };

  // Every sequence has a slot of a batch for its own while it lasts, and its row lies there; false: at most
  // `max_candidates` sequences of an instance bring their requests to a batch, the oldest first.
  bool direct = true;
  // A request without a correlation id is a sequence of its own, which the model sees until it is done with
  // it.
  bool iterative = false;
  std::size_t max_candidates = 0;                 // of oldest, per instance; 0: max_batch_size
  float min_slot_utilization = 0.0F;              // of direct: a batch waits for its delay below that
  std::vector<std::uint32_t> preferred_num_rows;  // of oldest, ascending; empty: max_batch_size alone
  std::uint64_t max_queue_delay_ns = 0;
  bool preserve_ordering = false;  // of oldest: answers go home in the order in which requests came
  std::uint64_t max_idle_ns = 1'000'000'000;  // without a request the sequence ends after it
  std::vector<Control> controls;
  std::vector<State> states;
};

}  // namespace naiad
