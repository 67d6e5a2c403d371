#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/atomics.h"

namespace naiad {

// A bounded queue for any number of producers and consumers, without a lock: D. Vyukov's array of cells with
// sequence numbers (1024cores.net, "Bounded MPMC queue"). FIFO per producer; items of different producers
// come out in the order in which their cells were claimed. Allocates in its constructor only.
//
// A cell's sequence says whose turn it is: == pos: free for the producer that claims pos; == pos + 1: filled,
// for the consumer that claims pos; it becomes pos + capacity when emptied. Positions are 64 bits wide and do
// not wrap.
template <class T, class Atomics = StdAtomics>
  requires std::default_initializable<T> && std::is_nothrow_move_assignable_v<T>
class Ring {
 public:
  // Holds at least `min_capacity` items: the next power of two, not under 2 (with one cell "filled" and "free
  // for the next lap" would be the same sequence).
  explicit Ring(std::size_t min_capacity)
      : mask_(std::bit_ceil(std::max<std::size_t>(min_capacity, 2)) - 1),
        cells_(std::make_unique<Cell[]>(mask_ + 1)) {
    for (std::size_t i = 0; i <= mask_; ++i) cells_[i].sequence.store(i, std::memory_order_relaxed);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Moves `item` to the end; false, with `item` untouched, when there is no room. It may be false while a
  // consumer that claimed the oldest cell has not emptied it yet. Any thread; lock-free, does not allocate.
  bool try_push(T& item) {
    std::uint64_t pos = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[pos & mask_];
      // Acquire: pairs with the release in try_pop; the old value has been moved out before it is
      // overwritten.
      const std::uint64_t sequence = cell.sequence.load(std::memory_order_acquire);
      const auto lead = static_cast<std::int64_t>(sequence - pos);
      if (lead == 0) {
        // Relaxed: claims the cell only. On failure pos becomes the current tail.
        if (tail_.compare_exchange_weak(pos, pos + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
          cell.value = std::move(item);
          cell.sequence.store(pos + 1, std::memory_order_release);  // pairs with the acquire in try_pop
          return true;
        }
      } else if (lead < 0) {
        return false;
      } else {
        pos = tail_.load(std::memory_order_relaxed);
      }
    }
  }

  // Moves the oldest item to `item`; false, with `item` untouched, when there is none. It may be false while
  // the producer that claimed the oldest cell has not filled it yet, although younger items are there: that
  // producer's notify comes after its item. So where several consumers park, one that got an item and leaves
  // others behind (size_approx() != 0) notifies the next one: the younger item's notify may have found nobody
  // who could take it. Any thread; lock-free, does not allocate.
  bool try_pop(T& item) {
    std::uint64_t pos = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[pos & mask_];
      // Acquire: pairs with the release in try_push; the value is seen whole.
      const std::uint64_t sequence = cell.sequence.load(std::memory_order_acquire);
      const auto lead = static_cast<std::int64_t>(sequence - (pos + 1));
      if (lead == 0) {
        if (head_.compare_exchange_weak(pos, pos + 1, std::memory_order_relaxed, std::memory_order_relaxed)) {
          item = std::move(cell.value);
          cell.sequence.store(pos + capacity(), std::memory_order_release);  // pairs with try_push's acquire
          return true;
        }
      } else if (lead < 0) {
        return false;
      } else {
        pos = head_.load(std::memory_order_relaxed);
      }
    }
  }

  std::size_t capacity() const { return mask_ + 1; }

  // Claimed and not yet popped, as of some moment during the call: for metrics and heuristics. Any thread.
  std::size_t size_approx() const {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail <= head ? 0 : std::min<std::uint64_t>(tail - head, capacity());
  }

 private:
  struct Cell {
    typename Atomics::template Atomic<std::uint64_t> sequence{0};
    T value{};
  };

  const std::size_t mask_;
  const std::unique_ptr<Cell[]> cells_;
  // Next position to fill, next position to empty. Both relaxed: a position only claims a cell, the cell's
  // sequence hands over its value.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::uint64_t> tail_{0};
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::uint64_t> head_{0};
};

}  // namespace naiad
