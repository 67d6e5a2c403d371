#pragma once

// The atomics of the Relacy race detector in the place of StdAtomics: the lock-free types of csrc are
// instantiated with them as they are. Include the headers under test before this one: Relacy defines macros
// for new, delete and the memory orders.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <relacy/relacy.hpp>
#include <streambuf>
#include <type_traits>
#include <vector>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

// Relacy replaces the global operators new and delete by inline functions. The compiler would leave out those
// that it has inlined everywhere, and the C++ library would then free with its own what was allocated with
// Relacy's: so all of them are made real here, the sized forms too. Each model is a program of one file.
void operator delete(void* memory, std::size_t) noexcept {
  ::operator delete(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  ::operator delete[](memory);
}

namespace naiad::model {

[[gnu::used]] void* (*const kKeepNew)(std::size_t) = &::operator new;
[[gnu::used]] void* (*const kKeepArrayNew)(std::size_t) = &::operator new[];
[[gnu::used]] void (*const kKeepDelete)(void*) noexcept = &::operator delete;
[[gnu::used]] void (*const kKeepArrayDelete)(void*) noexcept = &::operator delete[];

// What a mutant breaks. Each model also runs with some of these and must then fail: that is the proof that it
// looks where it should.
enum class Break {
  kNothing,
  kRelease,  // every release is relaxed
  kAcquire,  // every acquire is relaxed
  kFence,    // fence() does nothing
  kSeqCst,   // what is sequentially consistent is acquire or release only
  kTag,      // the upper half of 64-bit words is always 0: no tag against ABA
  kUsage,    // the model uses the type against its contract
};

template <Break kBroken>
rl::memory_order relacy_order(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return rl::mo_relaxed;
    case std::memory_order_consume:
    case std::memory_order_acquire:
      return kBroken == Break::kAcquire ? rl::mo_relaxed : rl::mo_acquire;
    case std::memory_order_release:
      return kBroken == Break::kRelease ? rl::mo_relaxed : rl::mo_release;
    case std::memory_order_acq_rel:
      return rl::mo_acq_rel;
    case std::memory_order_seq_cst:
      break;
  }
  return kBroken == Break::kSeqCst ? rl::mo_acq_rel : rl::mo_seq_cst;
}

template <Break kBroken = Break::kNothing>
struct RelacyAtomics {
  template <class T>
  class Atomic {
   public:
    Atomic(T value) : inner_(value) {}

    T load(std::memory_order order = std::memory_order_seq_cst) const {
      const rl::memory_order weakened = weak(order);
      return inner_.load(weakened == rl::mo_acq_rel ? rl::mo_acquire : weakened, $);
    }
    void store(T value, std::memory_order order = std::memory_order_seq_cst) {
      const rl::memory_order weakened = weak(order);
      inner_.store(cut(value), weakened == rl::mo_acq_rel ? rl::mo_release : weakened, $);
    }
    T exchange(T value, std::memory_order order = std::memory_order_seq_cst) {
      return inner_.exchange(value, weak(order), $);
    }
    T fetch_add(T value, std::memory_order order = std::memory_order_seq_cst) {
      return inner_.fetch_add(value, weak(order), $);
    }
    T fetch_sub(T value, std::memory_order order = std::memory_order_seq_cst) {
      return inner_.fetch_sub(value, weak(order), $);
    }
    bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
      return inner_.compare_exchange_weak(expected, cut(desired), weak(success), $, weak(failure), $);
    }
    rl::atomic<T>& inner() { return inner_; }

   private:
    static rl::memory_order weak(std::memory_order order) { return relacy_order<kBroken>(order); }
    static T cut(T value) {
      if constexpr (kBroken == Break::kTag && std::is_same_v<T, std::uint64_t>) return value & 0xffffffff;
      return value;
    }

    rl::atomic<T> inner_;
  };

  // A plain variable on which Relacy finds races.
  template <class T>
  class Plain {
   public:
    Plain(T value) : inner_(value) {}
    Plain& operator=(T value) {
      inner_($).store(value);
      return *this;
    }
    operator T() const { return inner_($).load(); }

   private:
    rl::var<T> inner_;
  };

  static void fence() {
    if constexpr (kBroken != Break::kFence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
  }
};

// An item whose reads and writes Relacy watches.
struct Item {
  Item() : value(0) {}
  explicit Item(unsigned number) : value(number) {}
  Item(Item&& other) noexcept : value(other.value($).load()) {}
  Item& operator=(Item&& other) noexcept {
    value($).store(other.value($).load());
    return *this;
  }
  unsigned number() const { return value($).load(); }

  rl::var<unsigned> value;
};

// A futex: the compare and the sleep are one step, as under the kernel's bucket lock.
template <Break kBroken>
struct RelacyParking {
  using Atomics = RelacyAtomics<kBroken>;
  using Word = typename Atomics::template Atomic<std::uint32_t>;

  static bool wait(Word& word, std::uint32_t expected, std::optional<std::uint64_t> deadline_ns) {
    rl::ctx().sched();
    if (word.inner().debug_value() != expected) return true;
    return word.inner().wait(rl::ctx(), deadline_ns.has_value(), false, $) != rl::unpark_reason_timeout;
  }
  static void wake(Word& word, int count) {
    rl::ctx().sched();
    word.inner().wake(rl::ctx(), static_cast<rl::thread_id_t>(count), $);
  }
  static void relax() { rl::yield(1, $); }
};

// Takes what Relacy has to say about a mutant, without an allocation that it would have to track.
class Discard : public std::streambuf {
 protected:
  int overflow(int c) override { return c; }
  std::streamsize xsputn(const char*, std::streamsize size) override { return size; }
};

// Runs a model on `num_iterations` random schedules. True when it failed exactly if it should; the history of
// an unwanted failure is printed.
template <class Model>
bool check(const char* name, unsigned num_iterations, bool expect_failure) {
  Discard discard;
  std::ostream nowhere(&discard);
  rl::test_params params;
  params.iteration_count = num_iterations;
  params.output_stream = &nowhere;
  params.progress_stream = &nowhere;
  rl::simulate<Model>(params);
  if (params.test_result != rl::test_result_success && !expect_failure) {
    params.output_stream = &std::cout;
    rl::simulate<Model>(params);
  }
  const bool failed = params.test_result != rl::test_result_success;
  const bool met = failed == expect_failure;
  std::cout << (met ? "ok    " : "WRONG ") << name << ": " << rl::test_result_str(params.test_result)
            << (expect_failure ? " (a failure is wanted), " : ", ") << params.stop_iteration << " schedules"
            << std::endl;
  return met;
}

}  // namespace naiad::model
