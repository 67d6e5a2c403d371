#include "queue/parker.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "queue/ring.h"

namespace naiad {
namespace {

TEST_CASE("parker: a notify between prepare and wait is not lost") {
  for (const std::uint32_t max_spins : {0U, 64U}) {
    Parker parker(max_spins);
    const Parker::Ticket ticket = parker.prepare();
    parker.notify_one();
    CHECK(parker.wait(ticket));
  }
}

TEST_CASE("parker: a notify before prepare, or after cancel, does not end a later wait") {
  Parker parker(0);
  parker.notify_all();
  parker.cancel(parker.prepare());
  parker.notify_all();
  const Parker::Ticket ticket = parker.prepare();
  CHECK_FALSE(parker.wait(ticket, 1));
}

TEST_CASE("parker: a deadline ends the wait, and not before its time") {
  const SteadyClock clock;
  for (const std::uint32_t max_spins : {0U, 64U}) {
    Parker parker(max_spins);
    const std::uint64_t deadline_ns = clock.now_ns() + 2'000'000;
    CHECK_FALSE(parker.wait(parker.prepare(), deadline_ns));
    CHECK(clock.now_ns() >= deadline_ns);
  }
}

TEST_CASE("parker: notify_all ends every wait") {
  Parker parker(0);
  std::atomic<bool> stopping{false};
  std::atomic<int> ended{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stopping.load()) {
        const Parker::Ticket ticket = parker.prepare();
        if (stopping.load()) {
          parker.cancel(ticket);
          break;
        }
        parker.wait(ticket);
      }
      ended.fetch_add(1);
    });
  }
  stopping.store(true);
  parker.notify_all();
  threads.clear();  // joins: hangs here if a wake-up is lost
  CHECK(ended.load() == 4);
}

// Two threads throw one token to and fro: each wait needs its wake-up, or the test hangs.
void ping_pong(std::uint32_t max_spins, int rounds) {
  Parker ping(max_spins);
  Parker pong(max_spins);
  std::atomic<int> turn{0};
  const auto await_turn = [&turn](Parker& parker, int wanted) {
    while (turn.load(std::memory_order_acquire) != wanted) {
      const Parker::Ticket ticket = parker.prepare();
      if (turn.load(std::memory_order_acquire) == wanted) {
        parker.cancel(ticket);
        return;
      }
      parker.wait(ticket);
    }
  };
  std::jthread other([&] {
    for (int i = 0; i < rounds; ++i) {
      await_turn(pong, 2 * i + 1);
      turn.store(2 * i + 2, std::memory_order_release);
      ping.notify_one();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    await_turn(ping, 2 * i);
    turn.store(2 * i + 1, std::memory_order_release);
    pong.notify_one();
  }
  other.join();
  CHECK(turn.load() == 2 * rounds);
}

TEST_CASE("parker: no wake-up is lost in a long exchange") {
  ping_pong(0, 3'000);
  ping_pong(64, 3'000);
}

TEST_CASE("parker: consumers that park between items take all of them") {
  constexpr int kItems = 20'000;
  constexpr int kConsumers = 3;
  Ring<int> ring(8);
  Parker not_empty(0);
  std::atomic<bool> stopping{false};
  std::atomic<long> sum{0};
  std::vector<std::jthread> threads;
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&] {
      int item = 0;
      for (;;) {
        if (ring.try_pop(item)) {
          sum.fetch_add(item);
          continue;
        }
        const Parker::Ticket ticket = not_empty.prepare();
        const bool last_look = stopping.load();  // before the re-check: nothing is pushed after it
        if (ring.try_pop(item)) {
          not_empty.cancel(ticket);
          sum.fetch_add(item);
        } else if (last_look) {
          not_empty.cancel(ticket);
          return;
        } else {
          not_empty.wait(ticket);
        }
      }
    });
  }
  for (int i = 1; i <= kItems; ++i) {
    int item = i;
    while (!ring.try_push(item)) std::this_thread::yield();
    not_empty.notify_one();
  }
  stopping.store(true);
  not_empty.notify_all();
  threads.clear();
  CHECK(sum.load() == long{kItems} * (kItems + 1) / 2);
}

}  // namespace
}  // namespace naiad
