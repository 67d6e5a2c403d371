#include "queue/parker.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace naiad {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
// About 5 us of PAUSE on current x86 cores: the order of one futex sleep and wake-up, which is what spinning
// can save.
constexpr std::uint32_t kDefaultMaxSpins = 128;

int* futex_word(std::atomic<std::uint32_t>& word) {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(int) &&
                std::atomic<std::uint32_t>::is_always_lock_free);
  return reinterpret_cast<int*>(&word);
}

}  // namespace

// FUTEX_WAIT_BITSET takes an absolute deadline; without FUTEX_CLOCK_REALTIME it is on CLOCK_MONOTONIC
// (futex(2)).
bool LinuxParking::wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                        std::optional<std::uint64_t> deadline_ns) {
  timespec until{};
  if (deadline_ns) {
    until.tv_sec = static_cast<time_t>(*deadline_ns / kNsPerSecond);
    until.tv_nsec = static_cast<long>(*deadline_ns % kNsPerSecond);
  }
  const long rc = syscall(SYS_futex, futex_word(word), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                          deadline_ns ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
  // EAGAIN (the word had changed already) and EINTR are early returns; the caller looks at the word again.
  return rc == 0 || errno != ETIMEDOUT;
}

void LinuxParking::wake(std::atomic<std::uint32_t>& word, int count) {
  syscall(SYS_futex, futex_word(word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
}

void LinuxParking::relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

std::uint32_t LinuxParking::default_max_spins() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 0;
  return CPU_COUNT(&cpus) > 1 ? kDefaultMaxSpins : 0;
}

}  // namespace naiad
