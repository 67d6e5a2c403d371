#include "execute/leases.h"

#include <doctest/doctest.h>

#include <array>

#include "base/error.h"
#include "fakes/heap_pool.h"

using namespace naiad;

TEST_CASE("leases: slots that the other side is done with are found again, also when all were out") {
  constexpr std::size_t kSlots = 48;
  std::array<std::atomic<std::uint32_t>, kSlots> flags{};
  Leases leases(kSlots, [&flags](std::size_t slot) -> std::atomic<std::uint32_t>& { return flags.at(slot); });
  HeapPool pool;
  for (int round = 0; round < 3; ++round) {
    // More than half are out when it is looked, so that twice as many as that are more than there are.
    for (std::size_t i = 0; i < kSlots; ++i) leases.hold(pool.try_allocate(8));
    CHECK_THROWS_AS(leases.hold(pool.try_allocate(8)), Error);
    CHECK(pool.usage().used_bytes == kSlots * 8);
    for (auto& flag : flags) flag.store(1);
    const std::uint32_t slot = leases.hold(pool.try_allocate(8));
    CHECK(pool.usage().used_bytes == 8);
    flags.at(slot).store(1);
    leases.collect();
    CHECK(pool.usage().used_bytes == 0);
  }
}
