#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "memory/arena_pool.h"

namespace naiad {
namespace {

constexpr std::size_t kCapacityBytes = std::size_t{24} << 20;

// Who owns each 64 bytes of the arena: two owners of one byte are found at once.
class Ownership {
 public:
  explicit Ownership(const std::byte* arena) : arena_(arena), units_(kCapacityBytes / 64) {}

  void claim(const BufferRef& block, std::uint32_t owner) { change(block, 0, owner); }
  void leave(const BufferRef& block, std::uint32_t owner) { change(block, owner, 0); }
  int conflicts() const { return conflicts_.load(); }

 private:
  void change(const BufferRef& block, std::uint32_t from, std::uint32_t to) {
    const auto first = static_cast<std::size_t>(block->data() - arena_) / 64;
    for (std::size_t i = first; i <= first + (block->size_bytes() - 1) / 64; ++i) {
      std::uint32_t expected = from;
      if (!units_.at(i).compare_exchange_strong(expected, to, std::memory_order_relaxed))
        conflicts_.fetch_add(1);
    }
  }

  const std::byte* arena_;
  std::vector<std::atomic<std::uint32_t>> units_;
  std::atomic<int> conflicts_{0};
};

struct Held {
  BufferRef block;
  std::uint32_t stamp;
};

bool stamped(const Held& held) {
  std::uint32_t head = 0;
  std::uint32_t tail = 0;
  std::memcpy(&head, held.block->data(), sizeof(head));
  std::memcpy(&tail, held.block->data() + held.block->size_bytes() - sizeof(tail), sizeof(tail));
  return head == held.stamp && tail == held.stamp;
}

// Threads allocate, stamp, pass on to each other, check and free, in sizes from 8 bytes to beyond 1 MiB. The
// stamps are plain writes: a thread sanitizer also finds a block whose hand-over lacks an order.
TEST_CASE("pool: no byte has two owners, and no block is lost, under stress") {
  ArenaPoolOptions options;
  options.capacity_bytes = kCapacityBytes;
  options.max_cached_large_bytes = std::size_t{2} << 20;
  ArenaPool pool(options);
  Ownership ownership(pool.try_allocate(1)->data());  // the first block cut lies at the arena's start
  std::mutex exchange;
  std::vector<Held> exchanged;
  std::atomic<int> wrong_stamps{0};
  std::atomic<int> served{0};

  const auto work = [&](std::uint32_t thread) {
    std::mt19937 random(thread);
    std::vector<Held> mine;
    const auto drop = [&](Held held) {
      if (!stamped(held)) wrong_stamps.fetch_add(1);
      ownership.leave(held.block, held.stamp);
    };
    for (std::uint32_t i = 1; i <= 4000; ++i) {
      const std::size_t size_bytes = 8 + random() % (std::size_t{8} << (random() % 18));
      Held held{pool.try_allocate(size_bytes), thread << 24 | i};
      if (!held.block) {
        for (Held& each : mine) drop(std::move(each));
        mine.clear();
        continue;
      }
      served.fetch_add(1);
      ownership.claim(held.block, held.stamp);
      std::memcpy(held.block->data(), &held.stamp, sizeof(held.stamp));
      std::memcpy(held.block->data() + size_bytes - sizeof(held.stamp), &held.stamp, sizeof(held.stamp));
      mine.push_back(std::move(held));
      if (random() % 4 == 0) {
        const std::lock_guard lock(exchange);
        exchanged.push_back(std::move(mine.back()));
        mine.pop_back();
        if (exchanged.size() > 16) std::swap(exchanged[random() % 16], exchanged.back());
        if (exchanged.size() > 16) {
          mine.push_back(std::move(exchanged.back()));
          exchanged.pop_back();
        }
      }
      while (mine.size() > random() % 24) {
        std::swap(mine[random() % mine.size()], mine.back());
        drop(std::move(mine.back()));
        mine.pop_back();
      }
    }
    for (Held& held : mine) drop(std::move(held));
  };
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
  threads.clear();
  for (Held& held : exchanged) {
    if (!stamped(held)) wrong_stamps.fetch_add(1);
    ownership.leave(held.block, held.stamp);
  }
  exchanged.clear();

  CHECK(served.load() > 8000);
  CHECK(wrong_stamps.load() == 0);
  CHECK(ownership.conflicts() == 0);
  CHECK(pool.usage().used_bytes == 0);
}

// All threads want the same few blocks: the free list under contention, with exhaustion.
TEST_CASE("pool: threads share four blocks") {
  ArenaPoolOptions options;
  options.capacity_bytes = 4 * (std::size_t{16} << 10);
  ArenaPool pool(options);
  std::atomic<int> inside{0};
  std::atomic<int> too_many{0};
  std::atomic<int> served{0};
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        std::vector<BufferRef> blocks;
        for (int k = 0; k < 2; ++k) {
          if (BufferRef block = pool.try_allocate(16'384)) {
            if (inside.fetch_add(1) >= 4) too_many.fetch_add(1);
            served.fetch_add(1);
            *block->data() ^= std::byte{1};  // a data race if two threads have it
            blocks.push_back(std::move(block));
          }
        }
        inside.fetch_sub(static_cast<int>(blocks.size()));
      }
    });
  }
  threads.clear();
  CHECK(too_many.load() == 0);
  CHECK(served.load() > 10'000);
  CHECK(pool.usage().used_bytes == 0);
  CHECK(pool.usage().mapped_bytes <= 4 * 16'384);
}

}  // namespace
}  // namespace naiad
