#include "io/event_loop.h"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "io/stream_kit.h"

namespace naiad {
namespace {

struct CallingWatcher final : EventLoop::Watcher {
  void on_events(std::uint32_t events) override {
    ++calls;
    last = events;
    if (call) call();
  }
  int calls = 0;
  std::uint32_t last = 0;
  std::function<void()> call;
};

TEST_CASE("event loop: tells of what is watched for, until it is forgotten") {
  FakeClock clock;
  EventLoop loop(clock);
  test::SocketPair pair;
  CallingWatcher watcher;
  loop.watch(pair.near, EPOLLIN, watcher);
  test::run_rounds(loop);
  CHECK(watcher.calls == 0);
  pair.write("x");
  test::run_rounds(loop, 2);
  CHECK(watcher.calls == 2);
  CHECK(watcher.last == EPOLLIN);
  loop.rewatch(pair.near, EPOLLOUT, watcher);
  test::run_rounds(loop, 1);
  CHECK(watcher.last == EPOLLOUT);
  loop.forget(pair.near);
  loop.forget(pair.near);
  test::run_rounds(loop, 2);
  CHECK(watcher.calls == 3);
}

TEST_CASE("event loop: one that spins misses nothing, and sleeps when nothing comes") {
  const SteadyClock clock;
  EventLoop loop(clock, 200'000);
  test::SocketPair pair;
  CallingWatcher watcher;
  loop.watch(pair.near, EPOLLIN, watcher);
  std::atomic<int> num_tasks{0};
  std::thread thread([&] { loop.run(); });
  for (int i = 0; i < 2000; ++i) {
    loop.post([&] { ++num_tasks; });
    while (num_tasks.load() <= i) std::this_thread::yield();
    // Both ways into a wait: while it spins, and when it has gone to sleep.
    if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::atomic<int> num_reads{0};
  loop.post([&] {
    watcher.call = [&] {
      char byte = 0;
      if (read(pair.near, &byte, 1) == 1) ++num_reads;
    };
  });
  for (int i = 0; i < 200; ++i) {
    pair.write("x");
    while (num_reads.load() <= i) std::this_thread::yield();
    if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  loop.post([&] { loop.forget(pair.near); });
  loop.stop();
  thread.join();
  CHECK(num_tasks.load() == 2000);
  CHECK(num_reads.load() == 200);
}

TEST_CASE("event loop: refuses what epoll refuses") {
  FakeClock clock;
  EventLoop loop(clock);
  CallingWatcher watcher;
  test::SocketPair pair;
  loop.watch(pair.near, EPOLLIN, watcher);
  CHECK_THROWS_AS(loop.watch(pair.near, EPOLLIN, watcher), Error);
  loop.forget(pair.near);
  const int closed = pair.take_near();
  ::close(closed);
  CHECK_THROWS_AS(loop.watch(closed, EPOLLIN, watcher), Error);
}

TEST_CASE(
    "event loop: what was fetched for a forgotten descriptor is not told, nor its number's next owner") {
  FakeClock clock;
  EventLoop loop(clock);
  std::vector<std::unique_ptr<test::SocketPair>> pairs;
  std::vector<CallingWatcher> watchers(4);
  CallingWatcher late;
  std::unique_ptr<test::SocketPair> next;
  int forgotten = 0;
  for (auto& watcher : watchers) {
    pairs.push_back(std::make_unique<test::SocketPair>());
    pairs.back()->write("x");
    loop.watch(pairs.back()->near, EPOLLIN, watcher);
    // The first that is told forgets all, and opens another descriptor with one of the numbers.
    watcher.call = [&] {
      for (auto& pair : pairs) loop.forget(pair->near);
      forgotten = pairs[3]->near;
      pairs.clear();
      next = std::make_unique<test::SocketPair>();
      loop.watch(next->near, EPOLLIN, late);
    };
  }
  test::run_rounds(loop, 1);
  int calls = 0;
  for (const auto& watcher : watchers) calls += watcher.calls;
  CHECK(calls == 1);
  CHECK(next->near <= forgotten);
  CHECK(late.calls == 0);
  next->write("y");
  test::run_rounds(loop, 1);
  CHECK(late.calls == 1);
  loop.forget(next->near);
}

TEST_CASE("event loop: tasks run in order; one that is posted by a task runs in the next round") {
  FakeClock clock;
  EventLoop loop(clock);
  std::vector<int> order;
  loop.post([&] {
    order.push_back(1);
    loop.post([&] {
      order.push_back(3);
      loop.stop();
    });
  });
  loop.post([&] { order.push_back(2); });
  loop.run();
  CHECK(order == std::vector<int>{1, 2, 3});
}

TEST_CASE("event loop: a stop before the run counts; tasks that never ran die with the loop") {
  const auto alive = std::make_shared<int>(0);
  {
    const SteadyClock clock;
    EventLoop loop(clock);
    loop.stop();
    loop.run();
    loop.post([alive] {});
    CHECK(alive.use_count() == 2);
  }
  CHECK(alive.use_count() == 1);
}

TEST_CASE("event loop: the round has one time") {
  FakeClock clock;
  EventLoop loop(clock);
  clock.advance(5);
  CHECK(loop.now_ns() == clock.now_ns());
  loop.post([&] {
    const std::uint64_t start_ns = loop.now_ns();
    clock.advance(7);
    CHECK(loop.now_ns() == start_ns);
    loop.stop();
  });
  loop.run();
}

TEST_CASE("event loop: a watcher of wakes is told, and can be forgotten while it is told") {
  FakeClock clock;
  EventLoop loop(clock);
  CallingWatcher first;
  CallingWatcher second;
  loop.watch_wakes(first);
  loop.watch_wakes(second);
  first.call = [&] {
    loop.forget_wakes(first);
    loop.forget_wakes(second);
  };
  loop.wake();
  test::run_rounds(loop, 3);
  CHECK(first.calls == 1);
  CHECK(second.calls == 0);
}

TEST_CASE("event loop: no post of other threads is lost or out of order, however often it sleeps") {
  constexpr int kThreads = 3;
  constexpr int kPosts = 3000;
  const SteadyClock clock;
  EventLoop loop(clock);
  std::vector<int> last(kThreads, -1);
  int left = kThreads * kPosts;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        std::atomic<bool> done{false};
        loop.post([&, t, i] {
          CHECK(last[static_cast<std::size_t>(t)] == i - 1);
          last[static_cast<std::size_t>(t)] = i;
          if (--left == 0) loop.stop();
          if (i % 4 == 0) done.store(true, std::memory_order_release);
        });
        // Now and then waited for: the loop falls asleep.
        if (i % 4 == 0) {
          while (!done.load(std::memory_order_acquire)) std::this_thread::yield();
        }
      }
    });
  }
  loop.run();
  CHECK(left == 0);
}

TEST_CASE("event loop: sleeps no longer than until a timer is due") {
  const SteadyClock clock;
  EventLoop loop(clock);
  const std::uint64_t start_ns = clock.now_ns();
  EventLoop::Timer timer(loop, [&] { loop.stop(); });
  timer.arm(20'000'000);
  loop.run();
  CHECK(clock.now_ns() - start_ns >= 20'000'000);
}

}  // namespace
}  // namespace naiad
