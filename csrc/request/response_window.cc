#include "request/response_window.h"

#include <chrono>

namespace naiad {
namespace {

// The flag is set without a word to us.
constexpr std::chrono::milliseconds kLookAgain{10};

}  // namespace

void ResponseWindow::sent(std::size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  ++num_responses_;
  num_bytes_ += size_bytes;
}

void ResponseWindow::taken(std::size_t size_bytes) {
  {
    const std::lock_guard lock(mutex_);
    --num_responses_;
    num_bytes_ -= size_bytes;
    if (full()) return;
  }
  room_.notify_all();
}

void ResponseWindow::wait(const std::atomic<bool>& cancelled) {
  std::unique_lock lock(mutex_);
  while (full() && !cancelled.load(std::memory_order_relaxed)) room_.wait_for(lock, kLookAgain);
}

}  // namespace naiad
