#pragma once

#include <cstdint>
#include <limits>

#include "base/atomics.h"

namespace naiad {

// A lock-free stack of slot numbers (R. K. Treiber, 1986). The links lie in the slots; `Links` gives them:
// links(index) is the atomic link of slot `index`, which must stay readable for as long as the list is used,
// also while the slot is not in it. The last one in is the first one out, whose memory is warmest in cache.
//
// ABA: a pop that read (top A, next B) and was then overtaken by pop A, pop B, push A would make B the top
// although it is out. So the top is a pair of index and tag, and each pop changes the tag. A thread would
// have to be stopped for exactly 2^32 pops between two of its instructions to be fooled.
template <class Links, class Atomics = StdAtomics>
class FreeList {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // Puts a slot that the caller owns. Any thread; lock-free.
  void push(std::uint32_t index, const Links& links) {
    std::uint64_t top = top_.load(std::memory_order_relaxed);
    do {
      links(index).store(index_of(top), std::memory_order_relaxed);
      // Release: pairs with the acquire in try_pop, for the link and for all that the owner did to the slot.
    } while (!top_.compare_exchange_weak(top, pack(tag_of(top), index), std::memory_order_release,
                                         std::memory_order_relaxed));
  }

  // Takes a slot, which the caller then owns; kNone when there is none. Any thread; lock-free.
  std::uint32_t try_pop(const Links& links) {
    // Acquire: pairs with the release in push. Every later push and pop is a read-modify-write of top_ and so
    // continues that push's release sequence: also a slot that was covered by others is seen whole.
    std::uint64_t top = top_.load(std::memory_order_acquire);
    while (index_of(top) != kNone) {
      // This may read the link of a slot that somebody else popped meanwhile; then the exchange fails.
      const std::uint32_t below = links(index_of(top)).load(std::memory_order_relaxed);
      if (top_.compare_exchange_weak(top, pack(tag_of(top) + 1, below), std::memory_order_acquire,
                                     std::memory_order_acquire)) {
        return index_of(top);
      }
    }
    return kNone;
  }

 private:
  static std::uint32_t index_of(std::uint64_t top) { return static_cast<std::uint32_t>(top); }
  static std::uint32_t tag_of(std::uint64_t top) { return static_cast<std::uint32_t>(top >> 32); }
  static std::uint64_t pack(std::uint32_t tag, std::uint32_t index) {
    return std::uint64_t{tag} << 32 | index;
  }

  typename Atomics::template Atomic<std::uint64_t> top_{std::uint64_t{kNone}};  // tag << 32 | index
};

}  // namespace naiad
