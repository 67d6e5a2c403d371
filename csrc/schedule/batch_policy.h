#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace naiad {

// When a model takes its batches; from ModelSpec::batching and max_batch_size.
struct BatchRules {
  std::uint32_t max_rows = 1;
  std::vector<std::uint32_t> preferred_rows;  // ascending, not empty, each in [1, max_rows]
  std::uint64_t max_delay_ns = 0;
  std::uint64_t quiet_ns = 0;       // nothing new for so long: nothing comes; 0: that says nothing
  std::uint64_t quiet_from_ns = 0;  // the silence is not counted before
};

// One request at the head of the queue, as the policy sees it.
struct WaitingRequest {
  std::uint32_t num_rows = 1;
  std::uint64_t queued_ns = 0;
};

// What to do now: take the first `take` requests, or (0) wait until `wait_until_ns` or the next arrival.
struct BatchDecision {
  std::size_t take = 0;
  std::optional<std::uint64_t> wait_until_ns;
};

// Decides on the requests at the head of the queue which may share a batch, in the order in which they are to
// run; their rows together do not exceed max_rows. `can_grow` is false when the request behind them does not
// fit in (another shape, or too many rows), so that waiting cannot make this batch larger. Pure; any thread.
//
// The rule is that of Triton's dynamic batcher (model_configuration.md, "Dynamic Batcher") with one mend:
//  1. the largest preferred size that a prefix hits exactly is taken at once;
//  2. otherwise all are taken when the batch cannot grow, or has passed the largest preferred size,
//  3. or when the oldest has waited for max_delay_ns (always, when that is 0);
//  4. otherwise wait for the oldest one's delay to end, or for quiet_ns without a new one.
// The mend is that 1 holds after the delay too, where Triton takes all and so makes batches of one row more
// than the largest preferred size.
BatchDecision decide_batch(const BatchRules& rules, std::span<const WaitingRequest> waiting, bool can_grow,
                           std::uint64_t now_ns);

}  // namespace naiad
