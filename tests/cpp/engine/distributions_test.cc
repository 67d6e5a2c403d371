#include "engine/distributions.h"

#include <doctest/doctest.h>

#include <cmath>

namespace naiad {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

}  // namespace

TEST_CASE("quantiles are of the last minute, count and sum of all time") {
  RecentValues values;
  CHECK(std::isnan(values.quantiles({0.5}, 0).front()));
  for (int i = 0; i < 100; ++i) values.observe(1000, 5 * kSecondNs);
  CHECK(values.quantiles({0.5}, 30 * kSecondNs).front() == doctest::Approx(1000).epsilon(0.1));
  for (int i = 0; i < 100; ++i) values.observe(10, 50 * kSecondNs);
  CHECK(values.quantiles({0.9}, 55 * kSecondNs).front() == doctest::Approx(1000).epsilon(0.1));
  // The first ones are more than a minute old.
  CHECK(values.quantiles({0.9}, 70 * kSecondNs).front() == doctest::Approx(10).epsilon(0.1));
  CHECK(std::isnan(values.quantiles({0.9}, 200 * kSecondNs).front()));
  CHECK(values.count() == 200);
  CHECK(values.sum() == 101'000);
  // The part of the ring is taken again.
  values.observe(7, 245 * kSecondNs);
  CHECK(values.quantiles({0.5}, 245 * kSecondNs).front() == doctest::Approx(7).epsilon(0.1));
}

TEST_CASE("summaries are kept where they are asked for") {
  Distributions distributions;
  distributions.add_request(1'000'000, 0, nullptr);
  CHECK(distributions.request.count() == 1);
  CHECK(distributions.request.sum() == doctest::Approx(0.001));
  distributions.summaries = std::make_unique<std::array<RecentValues, kNumSummaries>>();
  distributions.add_request(1'000'000, 0, nullptr);
  distributions.add_queue(500'000, 0, nullptr);
  CHECK((*distributions.summaries)[static_cast<std::size_t>(Summary::kRequest)].sum() == 1000);
  CHECK((*distributions.summaries)[static_cast<std::size_t>(Summary::kQueue)].sum() == 500);
}

}  // namespace naiad
