#include "io/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <utility>

namespace naiad {

void TimerWheel::put(EventLoop::Timer& timer, EventLoop::Timer*& slot) {
  timer.next_ = slot;
  timer.place_ = &slot;
  if (slot != nullptr) slot->place_ = &timer.next_;
  slot = &timer;
}

void TimerWheel::arm(EventLoop::Timer& timer, std::uint64_t due_ns) {
  // Rounded up, so that no timer is early; behind tick_, so that its slot is still to come.
  const std::uint64_t due_tick = std::max(due_ns / kTickNs, tick_) + 1;
  if (timer.place_ != nullptr) {
    if (due_tick >= timer.due_tick_) {
      timer.due_tick_ = due_tick;
      return;
    }
    disarm(timer);
  }
  timer.due_tick_ = due_tick;
  const std::size_t index = due_tick % kNumSlots;
  put(timer, slots_[index]);
  occupied_[index / 64] |= std::uint64_t{1} << index % 64;
  // A timer of a later turn is looked at in every turn.
  next_tick_ = std::min(next_tick_, tick_ + 1 + (due_tick - tick_ - 1) % kNumSlots);
}

void TimerWheel::disarm(EventLoop::Timer& timer) {
  if (timer.place_ == nullptr) return;
  *timer.place_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->place_ = timer.place_;
  timer.next_ = nullptr;
  timer.place_ = nullptr;
}

void TimerWheel::forget(EventLoop::Timer& timer) {
  disarm(timer);
  if (running_ == &timer) running_ = nullptr;
}

void TimerWheel::advance(std::uint64_t now_ns) {
  const std::uint64_t now_tick = now_ns / kTickNs;
  if (now_tick < next_tick_) {
    // Nothing in between: the slots that are passed over are empty.
    tick_ = std::max(tick_, now_tick);
    return;
  }
  const std::uint64_t first = tick_ + 1;
  const std::uint64_t count = std::min<std::uint64_t>(now_tick - tick_, kNumSlots);
  tick_ = now_tick;
  for (std::uint64_t i = 0; i < count; ++i) run_slot((first + i) % kNumSlots);
  find_next();
}

void TimerWheel::run_slot(std::size_t index) {
  const std::uint64_t bit = std::uint64_t{1} << index % 64;
  if ((occupied_[index / 64] & bit) == 0) return;
  occupied_[index / 64] &= ~bit;
  // Taken out as a whole: due() may change any list.
  EventLoop::Timer* timers = std::exchange(slots_[index], nullptr);
  if (timers != nullptr) timers->place_ = &timers;
  while (timers != nullptr) {
    EventLoop::Timer& timer = *timers;
    disarm(timer);
    if (timer.due_tick_ > tick_) {
      arm(timer, (timer.due_tick_ - 1) * kTickNs);
      continue;
    }
    // Outside the timer while it runs, for it may destroy the timer.
    std::function<void()> due = std::move(timer.due_);
    running_ = &timer;
    due();
    if (running_ == &timer) timer.due_ = std::move(due);
    running_ = nullptr;
  }
}

void TimerWheel::find_next() {
  next_tick_ = kNever;
  const std::size_t start = (tick_ + 1) % kNumSlots;
  // One word more than there are: the first is looked at from `start` on, and again at the end for what is
  // before.
  for (std::size_t i = 0; i <= occupied_.size() && next_tick_ == kNever; ++i) {
    const std::size_t word = (start / 64 + i) % occupied_.size();
    std::uint64_t bits = occupied_[word];
    if (i == 0) bits &= ~std::uint64_t{0} << start % 64;
    if (i == occupied_.size()) bits &= (std::uint64_t{1} << start % 64) - 1;
    while (bits != 0) {
      const std::size_t index = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
      if (slots_[index] != nullptr) {
        next_tick_ = tick_ + 1 + (index + kNumSlots - start) % kNumSlots;
        break;
      }
      occupied_[word] &= ~(std::uint64_t{1} << index % 64);  // its timers were disarmed
      bits &= bits - 1;
    }
  }
}

}  // namespace naiad
