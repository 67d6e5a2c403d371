#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace naiad {

// Time as the scheduler sees it. Monotonic; its zero has no meaning. No wall clock decides anything.
class Clock {
 public:
  virtual ~Clock() = default;
  // Any thread.
  virtual std::uint64_t now_ns() const = 0;
};

class SteadyClock final : public Clock {
 public:
  std::uint64_t now_ns() const override {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
  }
};

// A clock that a test moves by hand. Any thread.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(std::uint64_t start_ns = 1'000'000'000) : now_ns_(start_ns) {}

  std::uint64_t now_ns() const override { return now_ns_.load(std::memory_order_relaxed); }
  void advance(std::uint64_t step_ns) { now_ns_.fetch_add(step_ns, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> now_ns_;  // pairs with nothing: the value is the whole message
};

}  // namespace naiad
