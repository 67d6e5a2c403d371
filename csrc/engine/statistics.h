#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/distributions.h"
#include "request/request.h"

namespace naiad {

// How often, and for how long in all.
struct Tally {
  std::uint64_t count = 0;
  std::uint64_t total_ns = 0;

  void add(std::uint64_t times, std::uint64_t each_ns) {
    count += times;
    total_ns += times * each_ns;
  }
};

// Why requests failed: the `reason` label of nv_inference_request_failure.
enum class FailureReason : unsigned char { kRejected, kCanceled, kBackend, kOther };
inline constexpr std::size_t kNumFailureReasons = 4;

// Executions of one batch size.
struct BatchTallies {
  Tally compute_input;
  Tally compute_infer;
  Tally compute_output;
};

// Of the responses that came in one place of their requests (the first, the second, and so on).
struct ResponseTallies {
  Tally compute_infer;
  Tally compute_output;
  Tally success;
  Tally fail;
  Tally empty_response;
  Tally cancel;
};

// The counters of a model version since it was loaded, as Triton's statistics extension defines them.
struct StatisticsValues {
  std::uint64_t inference_count = 0;    // rows that ran
  std::uint64_t execution_count = 0;    // batches that ran
  std::uint64_t last_inference_ms = 0;  // wall clock, since the epoch
  std::uint64_t last_used_ns = 0;       // the same moment by the steady clock, which does not jump
  Tally success;
  Tally fail;
  Tally queue;
  Tally compute_input;
  Tally compute_infer;
  Tally compute_output;
  Tally cache_hit;        // lookups that found an answer
  Tally cache_miss;       // those that did not, and the answers that were kept then
  Tally cache_insertion;  // of those, the keeping alone
  std::array<std::uint64_t, kNumFailureReasons> failures{};
  std::map<std::uint32_t, BatchTallies> batches;
  std::map<std::size_t, ResponseTallies> responses;  // of requests that were kept
};

// Notes one execution of `num_rows` rows, which answered `num_requests` requests. `trace`: of one of them.
inline void add_execution(StatisticsValues& values, Distributions& distributions, std::uint32_t num_rows,
                          std::uint64_t num_requests, const ComputeTimes& times, std::uint64_t now_ns,
                          const Trace* trace) {
  values.compute_input.add(num_requests, times.input_ns);
  values.compute_infer.add(num_requests, times.infer_ns);
  values.compute_output.add(num_requests, times.output_ns);
  distributions.compute.observe_ns(times.infer_ns, num_requests);
  distributions.batch_rows.observe(num_rows);
  distributions.summarize(Summary::kComputeInput, times.input_ns, now_ns, num_requests);
  distributions.summarize(Summary::kComputeInfer, times.infer_ns, now_ns, num_requests);
  distributions.summarize(Summary::kComputeOutput, times.output_ns, now_ns, num_requests);
  if (trace != nullptr) {
    distributions.exemplify_ns(Measured::kCompute, times.infer_ns, *trace);
    distributions.exemplify(Measured::kBatchRows, num_rows, *trace);
  }
  BatchTallies& batch = values.batches[num_rows];
  batch.compute_input.add(1, times.input_ns);
  batch.compute_infer.add(1, times.infer_ns);
  batch.compute_output.add(1, times.output_ns);
}

// The counters behind a lock that an instance takes once per batch.
class Statistics {
 public:
  // `first_response_buckets_ms`: bounds of Distributions::first_response_ms. `summaries`: whether they are
  // kept.
  explicit Statistics(std::vector<double> first_response_buckets_ms = {}, bool summaries = false) {
    distributions_.first_response_ms = BucketCounts(std::move(first_response_buckets_ms));
    if (summaries) distributions_.summaries = std::make_unique<std::array<RecentValues, kNumSummaries>>();
  }

  // Changes the counters, and the distributions too where `change` takes them, under the lock. Any thread.
  template <class Change>
  void record(Change&& change) {
    const std::lock_guard lock(mutex_);
    if constexpr (std::is_invocable_v<Change&, StatisticsValues&, Distributions&>) {
      change(values_, distributions_);
    } else {
      change(values_);
    }
  }

  // A consistent copy. Any thread.
  StatisticsValues values() const {
    const std::lock_guard lock(mutex_);
    return values_;
  }
  // Lets `look` see the distributions under the lock. Any thread.
  template <class Look>
  auto look(Look&& look) const {
    const std::lock_guard lock(mutex_);
    return look(distributions_);
  }

 private:
  mutable std::mutex mutex_;
  StatisticsValues values_;
  Distributions distributions_;
};

}  // namespace naiad
