#include "base/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace naiad {
namespace {

constexpr int kMantissaBits = 52;
constexpr int kBias = 1023;
constexpr std::uint64_t kMantissaMask = (std::uint64_t{1} << kMantissaBits) - 1;

// Mantissas of 2^(i/8), i = 0 ... 7.
constexpr std::array<std::uint64_t, Histogram::kBucketsPerDoubling> kSteps = [] {
  constexpr std::array<double, Histogram::kBucketsPerDoubling> kPowers = {
      1.0,
      1.0905077326652577,
      1.189207115002721,
      1.2968395546510096,
      1.4142135623730951,
      1.5422108254079407,
      1.681792830507429,
      1.8340080864093424,
  };
  std::array<std::uint64_t, Histogram::kBucketsPerDoubling> steps{};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i] = std::bit_cast<std::uint64_t>(kPowers[i]) & kMantissaMask;
  }
  return steps;
}();

// A sixteenth of the mantissas holds at most one step: how many lie before it, and the one in it.
constexpr int kPartBits = 4;
struct Part {
  std::uint64_t step = kMantissaMask;  // none is above this
  std::size_t num_before = 0;
};
constexpr std::array<Part, 1 << kPartBits> kParts = [] {
  std::array<Part, 1 << kPartBits> parts{};
  for (std::size_t part = 0; part < parts.size(); ++part) {
    for (const std::uint64_t step : kSteps) {
      const std::size_t holder = step >> (kMantissaBits - kPartBits);
      if (holder < part) ++parts[part].num_before;
      if (holder == part) parts[part].step = step;
    }
  }
  return parts;
}();

}  // namespace

std::size_t Histogram::bucket_of(double value) {
  if (!(value > 0)) return 0;
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const int exponent = static_cast<int>(bits >> kMantissaBits) - kBias;
  if (exponent < kMinExponent) return 0;
  if (exponent >= kMaxExponent) {
    const bool at_the_bound = exponent == kMaxExponent && (bits & kMantissaMask) == 0;
    return at_the_bound ? kNumBuckets - 2 : kNumBuckets - 1;
  }
  const std::uint64_t mantissa = bits & kMantissaMask;
  const Part& part = kParts[mantissa >> (kMantissaBits - kPartBits)];
  const std::size_t above = part.num_before + (mantissa > part.step ? 1 : 0);
  return static_cast<std::size_t>(exponent - kMinExponent) * kBucketsPerDoubling + above;
}

double Histogram::bound_of(std::size_t bucket) {
  if (bucket >= kNumBuckets - 1) return std::numeric_limits<double>::infinity();
  const std::uint64_t step = kSteps[bucket % kBucketsPerDoubling];
  const double mantissa = std::bit_cast<double>(step | std::uint64_t{kBias} << kMantissaBits);
  return std::ldexp(mantissa, kMinExponent + static_cast<int>(bucket / kBucketsPerDoubling));
}

void Histogram::add(const Histogram& other) {
  for (std::size_t i = 0; i < kNumBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
}

double Histogram::quantile(double share) const {
  if (count_ == 0) return std::numeric_limits<double>::quiet_NaN();
  const double rank = share * static_cast<double>(count_);
  double below = 0;
  for (std::size_t i = 0; i < kNumBuckets; ++i) {
    if (counts_[i] == 0) continue;
    const auto here = static_cast<double>(counts_[i]);
    if (below + here < rank) {
      below += here;
      continue;
    }
    const double low = i == 0 ? 0 : bound_of(i - 1);
    const double high = i + 1 == kNumBuckets ? 2 * low : bound_of(i);
    return low + (high - low) * std::clamp((rank - below) / here, 0.0, 1.0);
  }
  return bound_of(kNumBuckets - 2);
}

}  // namespace naiad
