#pragma once

#include <functional>
#include <string>
#include <thread>

namespace naiad {

// Starts a thread of the core: named for ps, gdb and perf (Linux keeps the first 15 bytes), and with the
// signals that ask the process for something blocked, so that they reach the thread of the program that
// installed their handlers. The returned thread joins when it is destroyed. Any thread.
std::jthread start_thread(const std::string& name, std::function<void()> body);

// The name of the calling thread. Any thread.
std::string thread_name();

}  // namespace naiad
