#pragma once

#include <atomic>
#include <cstdint>

namespace naiad {

// The futex of Linux on memory that processes share. `timeout_ns` is relative. Any thread; blocks.
void wait_shared(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::uint64_t timeout_ns);
// Wakes all sleepers. Any thread; a system call.
void wake_shared(std::atomic<std::uint32_t>& word);

}  // namespace naiad
