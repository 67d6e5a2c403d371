#include "base/histogram.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>

namespace naiad {

TEST_CASE("bounds grow by the eighth root of two, and are exact at powers of two") {
  for (std::size_t i = 0; i + 1 < Histogram::kNumBuckets; ++i) {
    const double expected = std::exp2(Histogram::kMinExponent + static_cast<double>(i) / 8);
    CHECK(Histogram::bound_of(i) == doctest::Approx(expected).epsilon(1e-12));
  }
  CHECK(Histogram::bound_of(0) == std::ldexp(1.0, Histogram::kMinExponent));
  CHECK(Histogram::bound_of(160) == 1.0);
  CHECK(Histogram::bound_of(Histogram::kNumBuckets - 2) == std::ldexp(1.0, Histogram::kMaxExponent));
  CHECK(std::isinf(Histogram::bound_of(Histogram::kNumBuckets - 1)));
}

TEST_CASE("a value is in the first bucket whose bound it does not exceed") {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponents(-25, 15);
  for (int round = 0; round < 100'000; ++round) {
    const double value = std::exp2(exponents(random));
    const std::size_t bucket = Histogram::bucket_of(value);
    REQUIRE(value <= Histogram::bound_of(bucket));
    if (bucket > 0) REQUIRE(value > Histogram::bound_of(bucket - 1));
  }
  for (std::size_t i = 0; i + 1 < Histogram::kNumBuckets; ++i) {
    const double bound = Histogram::bound_of(i);
    CHECK(Histogram::bucket_of(bound) == i);
    CHECK(Histogram::bucket_of(std::nextafter(bound, 1e9)) == i + 1);
  }
}

TEST_CASE("what is no number of the range is in an outer bucket") {
  for (const double value : {0.0, -1.0, std::nan(""), 1e-300, -std::numeric_limits<double>::infinity()}) {
    CHECK(Histogram::bucket_of(value) == 0);
  }
  for (const double value : {1e9, std::numeric_limits<double>::infinity()}) {
    CHECK(Histogram::bucket_of(value) == Histogram::kNumBuckets - 1);
  }
}

TEST_CASE("quantiles are right to the width of a bucket") {
  Histogram histogram;
  CHECK(std::isnan(histogram.quantile(0.5)));
  for (int value = 1; value <= 1000; ++value) histogram.observe(value);
  for (const double share : {0.1, 0.5, 0.9, 0.99, 1.0}) {
    CHECK(histogram.quantile(share) == doctest::Approx(share * 1000).epsilon(0.05));
  }
  CHECK(histogram.count() == 1000);
  CHECK(histogram.sum() == 500'500);
  Histogram twice = histogram;
  twice.add(histogram);
  CHECK(twice.count() == 2000);
  CHECK(twice.quantile(0.5) == doctest::Approx(histogram.quantile(0.5)));
}

TEST_CASE("given buckets count what does not exceed their bound") {
  BucketCounts counts({1, 10});
  for (const double value : {0.5, 1.0, 1.5, 10.0, 11.0}) counts.observe(value);
  CHECK(counts.counts() == std::vector<std::uint64_t>{2, 2, 1});
  CHECK(counts.count() == 5);
  CHECK(counts.sum() == 24);
}

}  // namespace naiad
