#include "memory/poison.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>

#include "memory/tensor_pool.h"

namespace naiad {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// They say nothing without the address sanitizer: `make asan` runs them.
const auto kOnlyWithAsan = doctest::skip(!can_poison());

TEST_CASE("poison: of a block that is out, what was asked for may be touched and no more" * kOnlyWithAsan) {
  const auto pool = make_arena_pool(16 * kMiB);
  for (const std::size_t size_bytes : {1UL, 60UL, 64UL, 100UL, 4097UL, 2'000'000UL}) {
    const BufferRef block = pool->try_allocate(size_bytes);
    REQUIRE(block);
    CHECK_FALSE(poisoned(block->data()));
    CHECK_FALSE(poisoned(block->data() + size_bytes - 1));
    if (size_bytes % 64 != 0) CHECK(poisoned(block->data() + size_bytes));
  }
}

TEST_CASE("poison: a block that came back may not be touched until it is out again" * kOnlyWithAsan) {
  const auto pool = make_arena_pool(16 * kMiB);
  for (const std::size_t size_bytes : {64UL, 1000UL, 3'000'000UL}) {
    BufferRef block = pool->try_allocate(size_bytes);
    BufferRef other_owner = block;
    const std::byte* const data = block->data();
    block = {};
    CHECK_FALSE(poisoned(data));
    other_owner = {};
    CHECK(poisoned(data));
    CHECK(poisoned(data + size_bytes - 1));
    pool->trim();
    CHECK(poisoned(data));
    const BufferRef again = pool->try_allocate(size_bytes);
    REQUIRE(again->data() == data);
    CHECK_FALSE(poisoned(data));
    CHECK_FALSE(poisoned(data + size_bytes - 1));
  }
}

TEST_CASE("poison: blocks that were cut and never out may not be touched" * kOnlyWithAsan) {
  const auto pool = make_arena_pool(16 * kMiB);
  const BufferRef first = pool->try_allocate(64);
  // Of the same slab: its last block, and between the two are those that were never out.
  const BufferRef second = pool->try_allocate(64);
  const std::byte* const between = first->data() + 64;
  REQUIRE(second->data() > between);
  CHECK(poisoned(between));
  CHECK_FALSE(poisoned(first->data()));
  CHECK_FALSE(poisoned(second->data()));
}

TEST_CASE("poison: where a pool was, other things may lie" * kOnlyWithAsan) {
  auto pool = make_arena_pool(16 * kMiB);
  const std::byte* const data = pool->try_allocate(1000)->data();
  CHECK(poisoned(data));
  pool = nullptr;
  CHECK_FALSE(poisoned(data));
}

}  // namespace
}  // namespace naiad
