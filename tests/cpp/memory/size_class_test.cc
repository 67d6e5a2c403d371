#include "memory/size_class.h"

#include <doctest/doctest.h>

#include <random>

namespace naiad {
namespace {

TEST_CASE("size class: sizes rise, are 64-byte multiples, and pages from 16 KiB on") {
  for (std::size_t i = 0; i < kNumSizeClasses; ++i) {
    if (i > 0) CHECK(block_size_bytes(i) > block_size_bytes(i - 1));
    CHECK(block_size_bytes(i) % 64 == 0);
    if (block_size_bytes(i) >= 16 * 1024) CHECK(block_size_bytes(i) % 4096 == 0);
    CHECK(size_class_of(block_size_bytes(i)) == i);
  }
  CHECK(block_size_bytes(0) == 64);
  CHECK(block_size_bytes(4) == 320);
  CHECK(kMaxBlockBytes == std::size_t{1} << 48);
}

TEST_CASE("size class: the smallest that fits, at most a quarter too big") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t size_bytes = (random() & ((std::size_t{1} << 48) - 1)) >> (random() % 48);
    const std::size_t size_class = size_class_of(size_bytes);
    REQUIRE(size_class < kNumSizeClasses);
    REQUIRE(block_size_bytes(size_class) >= size_bytes);
    if (size_class > 0) REQUIRE(block_size_bytes(size_class - 1) < size_bytes);
    REQUIRE(block_size_bytes(size_class) <= size_bytes + size_bytes / 4 + 64);
  }
}

}  // namespace
}  // namespace naiad
