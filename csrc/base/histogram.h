#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace naiad {

// How values are spread, in buckets that grow by a factor: eight for each doubling, each 9 % wide, as in
// Prometheus's native histograms of schema 3. Bucket i holds what is above its predecessor's bound and not
// above its own, 2^(kMinExponent + i/8); the first one holds all that is smaller, the last one all that is
// larger. One thread, or under a lock.
class Histogram {
 public:
  static constexpr int kBucketsPerDoubling = 8;
  static constexpr int kMinExponent = -20;  // of seconds: a microsecond
  static constexpr int kMaxExponent = 12;
  static constexpr std::size_t kNumBuckets =
      static_cast<std::size_t>(kMaxExponent - kMinExponent) * kBucketsPerDoubling + 2;

  // Costs a few nanoseconds: the exponent is read from the number, its mantissa compared.
  void observe(double value, std::uint64_t times = 1) {
    counts_[bucket_of(value)] += times;
    count_ += times;
    sum_ += value * static_cast<double>(times);
  }
  void observe_ns(std::uint64_t duration_ns, std::uint64_t times = 1) {
    observe(static_cast<double>(duration_ns) * 1e-9, times);
  }
  void add(const Histogram& other);

  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  std::uint64_t count_of(std::size_t bucket) const { return counts_[bucket]; }
  // The value below which that share of all lies, to the width of a bucket; NaN of none.
  double quantile(double share) const;

  static std::size_t bucket_of(double value);
  static double bound_of(std::size_t bucket);

 private:
  std::array<std::uint64_t, kNumBuckets> counts_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

// The same in buckets that somebody else has chosen.
class BucketCounts {
 public:
  // `bounds`: ascending; a value that equals one counts below it.
  explicit BucketCounts(std::vector<double> bounds = {})
      : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  void observe(double value) {
    std::size_t bucket = 0;
    while (bucket < bounds_.size() && value > bounds_[bucket]) ++bucket;
    ++counts_[bucket];
    ++count_;
    sum_ += value;
  }

  const std::vector<double>& bounds() const { return bounds_; }
  const std::vector<std::uint64_t>& counts() const { return counts_; }
  std::uint64_t count() const { return count_; }
  double sum() const { return sum_; }

 private:
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;  // the last one: above all bounds
  std::uint64_t count_ = 0;
  double sum_ = 0;
};

}  // namespace naiad
