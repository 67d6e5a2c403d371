#include "execute/batch_cost.h"

#include <doctest/doctest.h>

using namespace naiad;

TEST_CASE("batch cost: unknown until recorded, by size, and follows what batches come to cost") {
  BatchCost cost;
  CHECK(cost.expected_ns(0) == std::numeric_limits<std::uint64_t>::max());
  cost.record(100, 1000);
  CHECK(cost.expected_ns(0) == 1000);
  CHECK(cost.expected_ns(32 << 10) == 1000);
  CHECK(cost.expected_ns((32 << 10) + 1) == std::numeric_limits<std::uint64_t>::max());
  cost.record(600'000, 50'000);
  CHECK(cost.expected_ns(599'000) == 50'000);
  CHECK(cost.expected_ns(0) == 1000);
  for (int i = 0; i < 100; ++i) cost.record(100, 9000);
  CHECK(cost.expected_ns(0) > 8000);
  CHECK(cost.expected_ns(0) <= 9000);
  // All sizes have a class, the greatest too.
  cost.record(std::numeric_limits<std::size_t>::max(), 7);
  CHECK(cost.expected_ns(std::size_t{1} << 40) == 7);
  cost.record(200 << 10, 0);
  CHECK(cost.expected_ns(200 << 10) == 1);
}
