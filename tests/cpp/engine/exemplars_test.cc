#include "engine/exemplars.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/statistics.h"

namespace naiad::test {

TEST_CASE("a doubling ends with a power of two, as the buckets of its histogram do") {
  constexpr auto kLast = Exemplars::kNumDoublings - 1;
  CHECK(Exemplars::doubling_of(0) == 0);
  CHECK(Exemplars::doubling_of(std::ldexp(1.0, Histogram::kMinExponent)) == 0);
  for (int exponent = Histogram::kMinExponent + 1; exponent <= Histogram::kMaxExponent; ++exponent) {
    const auto doubling = static_cast<std::size_t>(exponent - Histogram::kMinExponent);
    const double bound = std::ldexp(1.0, exponent);
    CHECK(Exemplars::doubling_of(bound) == doubling);
    CHECK(Exemplars::doubling_of(bound * 0.51) == doubling);
    CHECK(Exemplars::doubling_of(bound * 1.01) == doubling + 1);
  }
  CHECK(Exemplars::doubling_of(1e300) == kLast);
}

TEST_CASE("the last request in a doubling stands for it, in its own histogram") {
  Exemplars exemplars;
  const Exemplar first{{1, 2, true}, 0.9, 100};
  const Exemplar second{{3, 4, true}, 0.6, 200};
  const Exemplar slow{{5, 6, true}, 1.5, 300};
  for (const Exemplar& each : {first, second, slow}) exemplars.note(Measured::kRequest, each);
  CHECK(exemplars.at(Measured::kRequest, Exemplars::doubling_of(0.9)) == second);
  CHECK(exemplars.at(Measured::kRequest, Exemplars::doubling_of(1.5)) == slow);
  CHECK(exemplars.at(Measured::kQueue, Exemplars::doubling_of(1.5)).at_ms == 0);
}

TEST_CASE("requests that are not traced leave no exemplars") {
  Statistics statistics;
  statistics.record([](StatisticsValues& values, Distributions& distributions) {
    distributions.add_answer(1000, 1, nullptr);
    distributions.add_queue(1000, 1, nullptr);
    add_execution(values, distributions, 4, 1, {}, 1, nullptr);
  });
  CHECK(
      statistics.look([](const Distributions& distributions) { return distributions.exemplars == nullptr; }));
  CHECK(statistics.look([](const Distributions& distributions) { return distributions.request.count(); }) ==
        1);
}

}  // namespace naiad::test
