#pragma once

#include <atomic>
#include <cstddef>

namespace naiad {

// Two words that different threads write often lie at least this far apart.
inline constexpr std::size_t kCacheLineBytes = 64;

// The atomics that the lock-free types are written against. They take this as a template parameter, so that
// tests/cpp/model instantiates the same code with the atomics of a model checker.
struct StdAtomics {
  template <class T>
  using Atomic = std::atomic<T>;

  // A variable that threads hand to each other: a model checker's finds races on it.
  template <class T>
  using Plain = T;

  // A sequentially consistent fence. Any thread.
  static void fence() {
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored \
    "-Wtsan"  // TSan derives no order from a fence; nothing here hands over data by one
#endif
    std::atomic_thread_fence(std::memory_order_seq_cst);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
  }
};

}  // namespace naiad
