#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/histogram.h"
#include "engine/exemplars.h"

namespace naiad {

// What lately was, as Triton's summaries have it: values of the last minute, to a fifth of it; its count and
// sum are of all time. Under a lock.
class RecentValues {
 public:
  static constexpr std::uint64_t kSpanNs = 60'000'000'000;
  static constexpr std::size_t kNumParts = 5;

  void observe(double value, std::uint64_t now_ns, std::uint64_t times = 1);
  // Quantiles of what is no older than the span.
  std::vector<double> quantiles(const std::vector<double>& shares, std::uint64_t now_ns) const;
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  static constexpr std::uint64_t kPartNs = kSpanNs / kNumParts;
  struct Part {
    std::uint64_t number = 0;  // of its span of time, from 1; 0: nothing was noted
    Histogram values;
  };
  std::array<Part, kNumParts> parts_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

// Which of a model's durations a summary is of.
enum class Summary : unsigned char {
  kRequest,
  kQueue,
  kComputeInput,
  kComputeInfer,
  kComputeOutput,
  kCacheHit,
  kCacheMiss,
};
inline constexpr std::size_t kNumSummaries = 7;

// A summary as it is read: microseconds.
struct SummaryValues {
  std::uint64_t count = 0;
  double sum = 0;
  std::vector<double> quantiles;  // as asked
};

// How the durations of a model version are spread, and its batches. Under the lock of its statistics.
struct Distributions {
  // From the arrival of a successful request to its last response; of its queue; of the model itself; to the
  // first response. Seconds.
  Histogram request;
  Histogram queue;
  Histogram compute;
  Histogram first_response;
  Histogram batch_rows;
  BucketCounts first_response_ms;  // Triton's, in buckets that the model's configuration may choose
  std::unique_ptr<std::array<RecentValues, kNumSummaries>> summaries;  // null: none are kept
  std::unique_ptr<Exemplars> exemplars;                                // null: nothing was traced

  // `trace`: of the request that is noted; null: it is not traced.
  void add_request(std::uint64_t spent_ns, std::uint64_t now_ns, const Trace* trace) {
    request.observe_ns(spent_ns);
    summarize(Summary::kRequest, spent_ns, now_ns);
    if (trace != nullptr) exemplify_ns(Measured::kRequest, spent_ns, *trace);
  }
  // A successful request whose first response was its last.
  void add_answer(std::uint64_t spent_ns, std::uint64_t now_ns, const Trace* trace) {
    add_request(spent_ns, now_ns, trace);
    add_first_response(spent_ns, trace);
  }
  void add_first_response(std::uint64_t spent_ns, const Trace* trace) {
    first_response.observe_ns(spent_ns);
    first_response_ms.observe(static_cast<double>(spent_ns) * 1e-6);
    if (trace != nullptr) exemplify_ns(Measured::kFirstResponse, spent_ns, *trace);
  }
  void add_queue(std::uint64_t spent_ns, std::uint64_t now_ns, const Trace* trace) {
    queue.observe_ns(spent_ns);
    summarize(Summary::kQueue, spent_ns, now_ns);
    if (trace != nullptr) exemplify_ns(Measured::kQueue, spent_ns, *trace);
  }
  // That request stands for its bucket from now on.
  void exemplify(Measured which, double value, const Trace& trace);
  void exemplify_ns(Measured which, std::uint64_t spent_ns, const Trace& trace) {
    exemplify(which, static_cast<double>(spent_ns) * 1e-9, trace);
  }
  void summarize(Summary which, std::uint64_t spent_ns, std::uint64_t now_ns, std::uint64_t times = 1) {
    if (summaries == nullptr) return;
    (*summaries)[static_cast<std::size_t>(which)].observe(static_cast<double>(spent_ns) * 1e-3, now_ns,
                                                          times);
  }
};

}  // namespace naiad
