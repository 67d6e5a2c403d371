#include "ipc/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace naiad {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

int* word_of(std::atomic<std::uint32_t>& word) {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(int) &&
                std::atomic<std::uint32_t>::is_always_lock_free);
  return reinterpret_cast<int*>(&word);
}

}  // namespace

void wait_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::uint64_t timeout_ns) {
  timespec timeout{};
  timeout.tv_sec = static_cast<time_t>(timeout_ns / kNsPerSecond);
  timeout.tv_nsec = static_cast<long>(timeout_ns % kNsPerSecond);
  // Each way back is as good as another: the caller looks again.
  syscall(SYS_futex, word_of(word), FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

void wake_shared(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, word_of(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace naiad
