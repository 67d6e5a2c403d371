#pragma once

#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace naiad {

// Starts a thread of the core: named for ps, gdb and perf (Linux keeps the first 15 bytes), and with the
// signals that ask the process for something blocked, so that they reach the thread of the program that
// installed their handlers. The returned thread joins when it is destroyed. Any thread.
std::jthread start_thread(const std::string& name, std::function<void()> body);

// Asks the kernel to let the calling thread run in turns as short as it has (0.1 ms instead of some 3 ms), so
// that a thread which mostly waits gets its turn soon after it wakes, also where another one computes. Needs
// no right; the thread's share of the CPU stays the same. Linux 6.12 and newer; false where the kernel has no
// such thing, which changes nothing else. The calling thread's business only.
bool take_short_turns();

// Where on the machine a thread runs, and from where it has its memory.
struct ThreadPlace {
  std::vector<int> cpus{};         // empty: any
  std::optional<int> numa_node{};  // empty: any memory

  bool is_anywhere() const { return cpus.empty() && !numa_node; }
  friend auto operator<=>(const ThreadPlace&, const ThreadPlace&) = default;
};

// Puts the calling thread in its place; threads and processes that it starts from then on inherit that.
// Throws Error(kInvalidArgument) for processors and nodes that this process may not use.
void take_place(const ThreadPlace& place);

// The name of the calling thread. Any thread.
std::string thread_name();

}  // namespace naiad
