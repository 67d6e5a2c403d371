// What the building blocks of the request path cost: ring, parker, completion queue, tensor pool. Each number
// is the median of kRepeats runs.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "memory/tensor_pool.h"
#include "queue/completion_queue.h"
#include "queue/parker.h"
#include "queue/ring.h"

namespace naiad {
namespace {

constexpr int kRepeats = 7;

// Runs `body` (which does `num_ops` operations) kRepeats times and prints the median time of one operation.
void measure(const char* name, std::uint64_t num_ops, const std::function<void()>& body) {
  const SteadyClock clock;
  std::array<double, kRepeats> op_ns{};
  for (double& each : op_ns) {
    const std::uint64_t start_ns = clock.now_ns();
    body();
    each = static_cast<double>(clock.now_ns() - start_ns) / static_cast<double>(num_ops);
  }
  std::sort(op_ns.begin(), op_ns.end());
  const double median_ns = op_ns[kRepeats / 2];
  std::printf("%-52s %9.1f ns/op %12.0f ops/s\n", name, median_ns, 1e9 / median_ns);
}

void bench_ring() {
  constexpr std::uint64_t kOps = 1'000'000;
  Ring<std::uint64_t> ring(1024);
  measure("ring: push + pop, one thread", kOps, [&] {
    for (std::uint64_t i = 0; i < kOps; ++i) {
      std::uint64_t item = i;
      ring.try_push(item);
      ring.try_pop(item);
    }
  });
  for (const int pairs : {1, 2}) {
    const std::string name =
        "ring: " + std::to_string(pairs) + " producers, " + std::to_string(pairs) + " consumers";
    measure(name.c_str(), kOps, [&] {
      std::atomic<std::uint64_t> left{kOps};
      std::vector<std::jthread> threads;
      for (int t = 0; t < pairs; ++t) {
        threads.emplace_back([&] {
          for (std::uint64_t i = 0; i < kOps / static_cast<std::uint64_t>(pairs); ++i) {
            std::uint64_t item = i;
            while (!ring.try_push(item)) std::this_thread::yield();
          }
        });
        threads.emplace_back([&] {
          std::uint64_t item = 0;
          while (left.load(std::memory_order_relaxed) != 0) {
            std::uint64_t taken = 0;
            while (ring.try_pop(item)) ++taken;
            left.fetch_sub(taken, std::memory_order_relaxed);
            if (taken == 0) std::this_thread::yield();
          }
        });
      }
    });
  }
}

void await_turn(Parker& parker, const std::atomic<std::uint64_t>& turn, std::uint64_t wanted) {
  while (turn.load(std::memory_order_acquire) != wanted) {
    const Parker::Ticket ticket = parker.prepare();
    if (turn.load(std::memory_order_acquire) == wanted) {
      parker.cancel(ticket);
      return;
    }
    parker.wait(ticket);
  }
}

void bench_parker() {
  constexpr std::uint64_t kOps = 5'000'000;
  Parker idle;
  measure("parker: notify_one, nobody waits", kOps, [&] {
    for (std::uint64_t i = 0; i < kOps; ++i) idle.notify_one();
  });
  constexpr std::uint64_t kRounds = 20'000;
  for (const std::uint32_t max_spins : {0U, LinuxParking::default_max_spins(), 4096U}) {
    const std::string name = "parker: round trip of two threads, max_spins " + std::to_string(max_spins);
    measure(name.c_str(), kRounds, [&] {
      Parker ping(max_spins);
      Parker pong(max_spins);
      std::atomic<std::uint64_t> turn{0};
      std::jthread other([&] {
        for (std::uint64_t i = 0; i < kRounds; ++i) {
          await_turn(pong, turn, 2 * i + 1);
          turn.store(2 * i + 2, std::memory_order_release);
          ping.notify_one();
        }
      });
      for (std::uint64_t i = 0; i < kRounds; ++i) {
        await_turn(ping, turn, 2 * i);
        turn.store(2 * i + 1, std::memory_order_release);
        pong.notify_one();
      }
    });
  }
}

void bench_completion_queue() {
  constexpr std::uint64_t kOps = 500'000;
  CompletionQueue<std::unique_ptr<int>> queue;
  std::vector<std::unique_ptr<int>> items;
  for (const std::uint64_t burst : {1U, 16U, 256U}) {
    const std::string name = "completion queue: push, drained by " + std::to_string(burst);
    measure(name.c_str(), kOps, [&] {
      for (std::uint64_t i = 0; i < kOps; ++i) {
        queue.push(nullptr);
        if (i % burst == burst - 1) {
          queue.drain(items);
          items.clear();
        }
      }
    });
  }
  measure("completion queue: push in one thread, drain in another", kOps, [&] {
    std::jthread producer([&] {
      for (std::uint64_t i = 0; i < kOps; ++i) queue.push(nullptr);
    });
    std::uint64_t taken = 0;
    while (taken < kOps) {
      items.clear();
      taken += queue.drain(items);
      if (items.empty()) std::this_thread::yield();
    }
  });
}

void bench_pool() {
  constexpr std::uint64_t kOps = 1'000'000;
  auto pool = make_arena_pool(std::size_t{1} << 30);
  for (const std::size_t size_bytes : {64UL, 4096UL, 614'400UL, 4'194'304UL}) {
    const std::string name = "pool: allocate + free " + std::to_string(size_bytes) + " bytes";
    measure(name.c_str(), kOps, [&] {
      for (std::uint64_t i = 0; i < kOps; ++i) pool->try_allocate(size_bytes);
    });
  }
  measure("pool: allocate + free 64 bytes, two threads each", kOps, [&] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (std::uint64_t i = 0; i < kOps; ++i) pool->try_allocate(64);
      });
    }
  });
  measure("heap: make_heap_buffer + free 64 bytes", kOps, [&] {
    for (std::uint64_t i = 0; i < kOps; ++i) make_heap_buffer(64);
  });
}

}  // namespace
}  // namespace naiad

int main() {
  naiad::bench_ring();
  naiad::bench_parker();
  naiad::bench_completion_queue();
  naiad::bench_pool();
  return 0;
}
