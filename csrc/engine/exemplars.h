#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/histogram.h"
#include "request/trace.h"

namespace naiad {

// Which of a model's histograms an exemplar is of.
enum class Measured : unsigned char { kRequest, kQueue, kCompute, kFirstResponse, kBatchRows };
inline constexpr std::size_t kNumMeasured = 5;

// A traced request that stands for those that a bucket counts.
struct Exemplar {
  TraceId trace;
  double value = 0;
  std::uint64_t at_ms = 0;  // wall clock, since the epoch; 0: there is none

  friend bool operator==(const Exemplar&, const Exemplar&) = default;
};

// The last traced request in each doubling of each histogram. Under a lock.
class Exemplars {
 public:
  // The last doubling holds what is above all bounds of a histogram.
  static constexpr std::size_t kNumDoublings =
      static_cast<std::size_t>(Histogram::kMaxExponent - Histogram::kMinExponent) + 2;

  void note(Measured which, const Exemplar& exemplar) {
    seen_[static_cast<std::size_t>(which)][doubling_of(exemplar.value)] = exemplar;
  }
  const Exemplar& at(Measured which, std::size_t doubling) const {
    return seen_[static_cast<std::size_t>(which)][doubling];
  }

  // Doubling d ends with 2^(kMinExponent + d).
  static std::size_t doubling_of(double value) {
    constexpr auto kBuckets = static_cast<std::size_t>(Histogram::kBucketsPerDoubling);
    return (Histogram::bucket_of(value) + kBuckets - 1) / kBuckets;
  }

 private:
  std::array<std::array<Exemplar, kNumDoublings>, kNumMeasured> seen_{};
};

}  // namespace naiad
