#include "queue/ring.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace naiad {
namespace {

TEST_CASE("ring: capacity is rounded up to a power of two, not under two") {
  CHECK(Ring<int>(0).capacity() == 2);
  CHECK(Ring<int>(1).capacity() == 2);
  CHECK(Ring<int>(5).capacity() == 8);
  CHECK(Ring<int>(8).capacity() == 8);
}

TEST_CASE("ring: first in, first out, over many laps") {
  Ring<int> ring(4);
  int out = -1;
  CHECK_FALSE(ring.try_pop(out));
  CHECK(out == -1);
  int next_in = 0;
  int next_out = 0;
  for (int lap = 0; lap < 100; ++lap) {
    for (int i = 0; i < 3; ++i) {
      int item = next_in++;
      REQUIRE(ring.try_push(item));
    }
    CHECK(ring.size_approx() == 3);
    for (int i = 0; i < 3; ++i) {
      REQUIRE(ring.try_pop(out));
      CHECK(out == next_out++);
    }
    CHECK(ring.size_approx() == 0);
  }
}

TEST_CASE("ring: a refused item stays with the caller, a taken one does not") {
  Ring<std::unique_ptr<int>> ring(2);
  for (int i = 0; i < 2; ++i) {
    auto item = std::make_unique<int>(i);
    REQUIRE(ring.try_push(item));
    CHECK(item == nullptr);
  }
  auto refused = std::make_unique<int>(7);
  CHECK_FALSE(ring.try_push(refused));
  REQUIRE(refused != nullptr);
  CHECK(*refused == 7);
  std::unique_ptr<int> out;
  REQUIRE(ring.try_pop(out));
  CHECK(*out == 0);
  CHECK(ring.try_push(refused));
}

TEST_CASE("ring: what is left in it dies with it") {
  auto alive = std::make_shared<int>(1);
  {
    Ring<std::shared_ptr<int>> ring(4);
    auto copy = alive;
    REQUIRE(ring.try_push(copy));
    CHECK(alive.use_count() == 2);
  }
  CHECK(alive.use_count() == 1);
}

// Items carry producer and sequence number. Every consumer must see each producer's numbers rise (FIFO per
// producer), and together they must see each exactly once.
void stress(std::size_t capacity, std::uint32_t num_producers, std::uint32_t num_consumers,
            std::uint32_t per_producer) {
  Ring<std::uint64_t> ring(capacity);
  std::atomic<std::uint32_t> left{num_producers * per_producer};
  std::atomic<int> out_of_order{0};
  std::vector<std::vector<std::uint8_t>> seen(num_consumers);
  for (auto& each : seen) each.assign(num_producers * per_producer, 0);
  std::vector<std::jthread> threads;
  for (std::uint32_t p = 0; p < num_producers; ++p) {
    threads.emplace_back([&, p] {
      for (std::uint32_t i = 0; i < per_producer; ++i) {
        std::uint64_t item = (std::uint64_t{p} << 32) | i;
        while (!ring.try_push(item)) std::this_thread::yield();
      }
    });
  }
  for (std::uint32_t c = 0; c < num_consumers; ++c) {
    threads.emplace_back([&, c] {
      std::vector<std::int64_t> last(num_producers, -1);
      std::uint64_t item = 0;
      while (left.load() != 0) {
        if (!ring.try_pop(item)) {
          std::this_thread::yield();
          continue;
        }
        left.fetch_sub(1);
        const auto producer = static_cast<std::uint32_t>(item >> 32);
        const auto number = static_cast<std::uint32_t>(item);
        if (number <= last[producer]) out_of_order.fetch_add(1);
        last[producer] = number;
        ++seen[c][producer * per_producer + number];
      }
    });
  }
  threads.clear();
  CHECK(out_of_order.load() == 0);
  int wrong = 0;
  for (std::size_t i = 0; i < num_producers * per_producer; ++i) {
    int times = 0;
    for (const auto& each : seen) times += each[i];
    if (times != 1) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("ring: nothing lost, nothing twice, FIFO per producer") {
  stress(2, 2, 2, 20'000);
  stress(64, 3, 1, 20'000);
  stress(1024, 1, 3, 20'000);
  stress(16, 4, 4, 10'000);
}

}  // namespace
}  // namespace naiad
