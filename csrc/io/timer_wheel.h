#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "io/event_loop.h"

namespace naiad {

// The armed timers of one loop: a hashed wheel (G. Varghese, T. Lauck, 1987, scheme 6), a list of timers per
// slot, all operations in constant time. A timer that is armed again for later only notes that: it is moved
// when its old slot comes up. So the timer of a busy connection, put off with every message, costs a store.
// One thread.
class TimerWheel {
 public:
  static constexpr std::uint64_t kTickNs = std::uint64_t{1} << 23;  // 8.4 ms
  static constexpr std::size_t kNumSlots = 4096;                    // a turn is 34 s
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  explicit TimerWheel(std::uint64_t now_ns) : tick_(now_ns / kTickNs) {}
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  void arm(EventLoop::Timer& timer, std::uint64_t due_ns);
  void disarm(EventLoop::Timer& timer);
  // The timer is being destroyed.
  void forget(EventLoop::Timer& timer);

  // Runs what is due; what is armed meanwhile is not due before the next tick.
  void advance(std::uint64_t now_ns);
  // When advance() has something to look at, at the earliest; kNever without armed timers.
  std::uint64_t next_ns() const { return next_tick_ == kNever ? kNever : next_tick_ * kTickNs; }

 private:
  void put(EventLoop::Timer& timer, EventLoop::Timer*& slot);
  void run_slot(std::size_t index);
  void find_next();

  std::array<EventLoop::Timer*, kNumSlots> slots_{};
  std::array<std::uint64_t, kNumSlots / 64> occupied_{};  // a bit per slot that may have timers
  std::uint64_t tick_;                                    // the last one that advance() has seen
  std::uint64_t next_tick_ = kNever;                      // the first occupied slot behind tick_
  EventLoop::Timer* running_ = nullptr;                   // whose due() runs, while it lives
};

}  // namespace naiad
