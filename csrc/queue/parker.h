#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "base/atomics.h"

namespace naiad {

// What a Parker needs of the machine: the futex of Linux.
struct LinuxParking {
  using Atomics = StdAtomics;

  // Sleeps while *word == expected, until woken or until `deadline_ns` of CLOCK_MONOTONIC. May return early.
  // False when the deadline has passed. Blocks until then.
  static bool wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                   std::optional<std::uint64_t> deadline_ns);
  // Wakes up to `count` sleepers. Any thread; a system call.
  static void wake(std::atomic<std::uint32_t>& word, int count);
  // One breath of a spin loop.
  static void relax();
  // Breaths that are worth spinning before a sleep on this machine: 0 where there is one CPU.
  static std::uint32_t default_max_spins();
};

// Lets threads wait for "something may have changed" without losing a wake-up: an event count. The waiter
//
//   for (;;) {
//     if (ring.try_pop(item)) break;
//     Parker::Ticket ticket = parker.prepare();
//     if (ring.try_pop(item)) { parker.cancel(ticket); break; }   // the re-check: after prepare()
//     parker.wait(ticket);
//   }
//
// and the other side changes the state first and notifies then. Either the re-check sees the change, or the
// notifier sees the waiter. Where one notify_one() may stand for several items (a consumer was woken by the
// younger of two), the woken consumer takes all that is there, or notifies the next one.
//
// Proof: both sides write, pass a sequentially consistent fence, and read what the other wrote (waiters_ and
// the watched state). The fences are totally ordered, so at least one side sees the other's write. The same
// holds one level down for sleepers_ and epoch_ (all seq_cst). tests/cpp/model checks both.
template <class Parking>
class BasicParker {
 public:
  // The epoch that the waiter has seen. Each is given to exactly one cancel() or wait().
  struct Ticket {
    std::uint32_t epoch;
  };

  // A bound for one who has nothing else to do than to wait for an answer: some 80 us of PAUSE, more than
  // waking the other side from an idle CPU takes. 0 where there is one CPU.
  static std::uint32_t patient_spins() { return Parking::default_max_spins() * 16; }

  explicit BasicParker(std::uint32_t max_spins = Parking::default_max_spins())
      : max_spins_(max_spins), spins_(max_spins) {}
  BasicParker(const BasicParker&) = delete;
  BasicParker& operator=(const BasicParker&) = delete;

  // Announces a waiter. After it the caller re-checks what it waits for. Any thread; never blocks.
  [[nodiscard]] Ticket prepare() {
    // Relaxed: ordered before the caller's re-check by the fence, which pairs with the fence in notify.
    waiters_.fetch_add(1, std::memory_order_relaxed);
    // Acquire: pairs with the increment in notify. Read before the re-check: a change that comes later is in
    // a later epoch.
    const Ticket ticket{epoch_.load(std::memory_order_acquire)};
    Parking::Atomics::fence();
    return ticket;
  }

  // The re-check found something: no waiter after all. Any thread; never blocks.
  void cancel(Ticket) { waiters_.fetch_sub(1, std::memory_order_relaxed); }

  // Blocks until a notify that came after prepare(), spuriously, or until `deadline_ns` on CLOCK_MONOTONIC,
  // which is the clock of std::chrono::steady_clock and SteadyClock. Spins for a while before it sleeps.
  // False only when the deadline has passed without a notify; in each case the caller looks again at what it
  // waits for. Any thread.
  bool wait(Ticket ticket, std::optional<std::uint64_t> deadline_ns = std::nullopt) {
    bool notified = spin(ticket);
    if (!notified) notified = sleep(ticket, deadline_ns);
    waiters_.fetch_sub(1, std::memory_order_relaxed);  // a notifier that still counts us wakes for nothing
    return notified;
  }

  // Wakes one sleeper, if there is one, and every waiter between prepare() and sleep. With no waiter: one
  // fence and one load. Any thread; never blocks.
  void notify_one() { notify(1); }

  // Wakes all waiters. Any thread; never blocks.
  void notify_all() { notify(INT32_MAX); }

 private:
  bool spin(Ticket ticket) {
    if (max_spins_ == 0) return false;
    const bool trial = waits_.fetch_add(1, std::memory_order_relaxed) % kTrialPeriod == 0;
    const std::uint32_t bound = trial ? max_spins_ : spins_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < bound; ++i) {
      if (epoch_.load(std::memory_order_acquire) != ticket.epoch) {  // pairs with notify
        spins_.store(max_spins_, std::memory_order_relaxed);
        return true;
      }
      Parking::relax();
    }
    if (!trial) shrink(bound);
    return false;
  }

  // The bound is whole again when spinning paid and halves when it did not, so an idle server stops burning
  // CPU. Two threads that sleep by turns see each other only after the long time that a wake-up takes, and
  // would never find out that spinning pays: so every kTrialPeriod-th wait spins for the whole bound.
  void shrink(std::uint32_t bound) {
    const std::uint32_t least = max_spins_ / 16 + 1;
    if (bound > least) spins_.store(bound / 2 < least ? least : bound / 2, std::memory_order_relaxed);
  }

  bool sleep(Ticket ticket, std::optional<std::uint64_t> deadline_ns) {
    // Seq_cst, as the load after it and the pair in notify: one of the two sides sees the other.
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    bool in_time = true;
    // A futex may wake early, without a new epoch: then it sleeps on, until the deadline.
    while (epoch_.load(std::memory_order_seq_cst) == ticket.epoch && in_time) {
      in_time = Parking::wait(epoch_, ticket.epoch, deadline_ns);
    }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    return in_time || epoch_.load(std::memory_order_acquire) != ticket.epoch;
  }

  void notify(int count) {
    Parking::Atomics::fence();  // pairs with the fence in prepare
    if (waiters_.load(std::memory_order_relaxed) == 0) return;
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) == 0) return;  // spinners see the epoch: no system call
    Parking::wake(epoch_, count);
  }

  template <class T>
  using Atomic = typename Parking::Atomics::template Atomic<T>;

  static constexpr std::uint32_t kTrialPeriod = 16;

  const std::uint32_t max_spins_;
  // Waits so far: pairs with nothing.
  Atomic<std::uint32_t> waits_{0};
  // The present spin bound: a hint, pairs with nothing.
  Atomic<std::uint32_t> spins_;
  // Threads between prepare() and the end of wait() or cancel(). Pairs, by fences, with the watched state.
  alignas(kCacheLineBytes) Atomic<std::uint32_t> waiters_{0};
  // Those of them that sleep or are about to. Pairs with epoch_.
  Atomic<std::uint32_t> sleepers_{0};
  // Counts the notifies that met a waiter; the futex word. A sleeper would have to miss 2^32 of them between
  // two looks to be fooled.
  alignas(kCacheLineBytes) Atomic<std::uint32_t> epoch_{0};
};

using Parker = BasicParker<LinuxParking>;

}  // namespace naiad
