#include "io/timer_wheel.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "io/stream_kit.h"

namespace naiad {
namespace {

using Timer = EventLoop::Timer;
constexpr std::uint64_t kTickNs = TimerWheel::kTickNs;

TEST_CASE("timer: never early, at most a tick late") {
  FakeClock clock;
  EventLoop loop(clock);
  int calls = 0;
  Timer timer(loop, [&] { ++calls; });
  for (const std::uint64_t delay_ns :
       {std::uint64_t{0}, kTickNs / 2, 10 * kTickNs, 5000 * kTickNs, 20'000 * kTickNs}) {
    calls = 0;
    timer.arm(delay_ns);
    CHECK(timer.armed());
    if (delay_ns > 0) clock.advance(delay_ns - 1);
    test::run_rounds(loop, 2);
    CHECK(calls == 0);
    clock.advance(kTickNs + 1);
    test::run_rounds(loop, 2);
    CHECK(calls == 1);
    CHECK_FALSE(timer.armed());
  }
}

TEST_CASE("timer: armed again, for later and for earlier; disarmed") {
  FakeClock clock;
  EventLoop loop(clock);
  int calls = 0;
  Timer timer(loop, [&] { ++calls; });
  timer.arm(10 * kTickNs);
  timer.arm(100 * kTickNs);
  clock.advance(50 * kTickNs);
  test::run_rounds(loop, 2);
  CHECK(calls == 0);
  timer.arm(10 * kTickNs);
  clock.advance(12 * kTickNs);
  test::run_rounds(loop, 2);
  CHECK(calls == 1);
  timer.arm(kTickNs);
  timer.disarm();
  timer.disarm();
  clock.advance(100 * kTickNs);
  test::run_rounds(loop, 2);
  CHECK(calls == 1);
}

TEST_CASE("timer: destroys itself and its neighbours, arms itself and others, while it is due") {
  FakeClock clock;
  EventLoop loop(clock);
  std::vector<std::unique_ptr<Timer>> timers(4);
  std::vector<int> calls(4);
  timers[0] = std::make_unique<Timer>(loop, [&] { ++calls[0]; });
  timers[1] = std::make_unique<Timer>(loop, [&, text = std::string(100, 'x')] {
    ++calls[1];
    timers[0].reset();
    timers[1].reset();
    CHECK(text.size() == 100);
  });
  timers[2] = std::make_unique<Timer>(loop, [&] {
    ++calls[2];
    timers[2]->arm(0);
    timers[3]->arm(0);
  });
  timers[3] = std::make_unique<Timer>(loop, [&] { ++calls[3]; });
  // One slot, the last one armed first.
  timers[0]->arm(0);
  timers[1]->arm(0);
  timers[2]->arm(0);
  clock.advance(kTickNs);
  test::run_rounds(loop, 3);
  CHECK(calls == std::vector<int>{0, 1, 1, 0});
  clock.advance(kTickNs);
  test::run_rounds(loop, 3);
  CHECK(calls == std::vector<int>{0, 1, 2, 1});
}

// Against a map that does the same the slow way.
TEST_CASE("timer wheel: any order of arming, disarming and passing of time") {
  std::mt19937 random(7);
  FakeClock clock;
  EventLoop loop(clock);
  TimerWheel wheel(clock.now_ns());
  constexpr std::size_t kTimers = 50;
  std::vector<std::unique_ptr<Timer>> timers;
  std::map<std::size_t, std::uint64_t> expected;  // timer: tick
  std::uint64_t now_ns = clock.now_ns();
  for (std::size_t i = 0; i < kTimers; ++i) {
    timers.push_back(std::make_unique<Timer>(loop, [&, i] {
      REQUIRE(expected.contains(i));
      CHECK(expected[i] <= now_ns / kTickNs);
      expected.erase(i);
    }));
  }
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % kTimers;
    const std::uint64_t range = std::uint64_t{1} << random() % 15;
    if (random() % 4 != 0) {
      const std::uint64_t due_ns = now_ns + random() % range * kTickNs + random() % kTickNs;
      wheel.arm(*timers[i], due_ns);
      expected[i] = due_ns / kTickNs + 1;
    } else if (random() % 2 == 0) {
      wheel.disarm(*timers[i]);
      expected.erase(i);
    } else {
      now_ns += random() % range * kTickNs / 8;
      wheel.advance(now_ns);
      for (const auto& [timer, tick] : expected) {
        CHECK(tick > now_ns / kTickNs);
        CHECK(wheel.next_ns() <= tick * kTickNs);
      }
    }
    if (expected.empty()) continue;
    CHECK(wheel.next_ns() != TimerWheel::kNever);
  }
  for (auto& timer : timers) wheel.disarm(*timer);
}

}  // namespace
}  // namespace naiad
