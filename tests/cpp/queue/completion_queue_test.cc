#include "queue/completion_queue.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace naiad {
namespace {

bool readable(int fd, int timeout_ms = 0) {
  pollfd polled{fd, POLLIN, 0};
  return poll(&polled, 1, timeout_ms) == 1;
}

TEST_CASE("completion queue: one drain takes all, in order, and quiets the descriptor") {
  CompletionQueue<std::unique_ptr<int>> queue;
  std::vector<std::unique_ptr<int>> items;
  CHECK_FALSE(readable(queue.fd()));
  CHECK(queue.drain(items) == 0);
  for (int i = 0; i < 5; ++i) queue.push(std::make_unique<int>(i));
  CHECK(readable(queue.fd()));
  CHECK(queue.drain(items) == 5);
  CHECK_FALSE(readable(queue.fd()));
  queue.push(std::make_unique<int>(5));
  CHECK(readable(queue.fd()));
  CHECK(queue.drain(items) == 1);
  REQUIRE(items.size() == 6);
  for (int i = 0; i < 6; ++i) CHECK(*items[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("completion queue: what was not drained dies with it") {
  auto alive = std::make_shared<int>(1);
  {
    CompletionQueue<std::shared_ptr<int>> queue;
    queue.push(alive);
    queue.push(alive);
    CHECK(alive.use_count() == 3);
  }
  CHECK(alive.use_count() == 1);
}

// Counts the writes that a real eventfd would have cost.
struct CountingEvent {
  static inline int signals = 0;
  void signal() noexcept { ++signals; }
  void reset() noexcept {}
  int fd() const { return -1; }
};

TEST_CASE("completion queue: a burst costs one signal") {
  CountingEvent::signals = 0;
  CompletionQueue<int, StdAtomics, CountingEvent> queue;
  std::vector<int> items;
  for (int i = 0; i < 100; ++i) queue.push(i);
  CHECK(CountingEvent::signals == 1);
  queue.drain(items);
  queue.push(1);
  queue.push(2);
  CHECK(CountingEvent::signals == 2);
}

// The drainer sleeps in poll() without a time limit, as an I/O thread does: a lost wake-up hangs the test.
TEST_CASE("completion queue: nothing lost, nothing twice, FIFO per producer, no wake-up lost") {
  constexpr std::uint32_t kProducers = 4;
  constexpr std::uint32_t kPerProducer = 10'000;
  CompletionQueue<std::uint64_t> queue;
  std::vector<std::jthread> producers;
  for (std::uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&queue, p] {
      for (std::uint32_t i = 0; i < kPerProducer; ++i) {
        queue.push(std::uint64_t{p} << 32 | i);
        if (i % 64 == p) std::this_thread::yield();
      }
    });
  }
  std::vector<std::uint32_t> next(kProducers, 0);
  std::vector<std::uint64_t> items;
  std::uint32_t total = 0;
  int out_of_order = 0;
  while (total < kProducers * kPerProducer) {
    REQUIRE(readable(queue.fd(), -1));
    items.clear();
    queue.drain(items);
    for (const std::uint64_t item : items) {
      if (static_cast<std::uint32_t>(item) != next.at(item >> 32)++) ++out_of_order;
      ++total;
    }
  }
  CHECK(out_of_order == 0);
  CHECK(total == kProducers * kPerProducer);
  producers.clear();
  items.clear();
  CHECK(queue.drain(items) == 0);
}

}  // namespace
}  // namespace naiad
