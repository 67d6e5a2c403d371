#include "request/response_window.h"

#include <chrono>
#include <utility>

#include "request/request.h"

namespace naiad {
namespace {

// The flag is set without a word to us.
constexpr std::chrono::milliseconds kLookAgain{10};
// Nor are the counts of another process.
constexpr std::chrono::milliseconds kLookElsewhere{1};

}  // namespace

void ResponseWindow::sent(std::size_t size_bytes) {
  const std::lock_guard lock(mutex_);
  ++num_responses_;
  num_bytes_ += size_bytes;
}

void ResponseWindow::taken(std::size_t size_bytes) {
  if (taken_) taken_(size_bytes);
  {
    const std::lock_guard lock(mutex_);
    --num_responses_;
    num_bytes_ -= size_bytes;
    if (counts_responses_) counts_responses_->fetch_add(1);
    if (counts_bytes_) counts_bytes_->fetch_add(size_bytes);
    if (full()) return;
  }
  room_.notify_all();
  if (told_) told_();
}

void ResponseWindow::count_into(std::shared_ptr<Count> num_responses, std::shared_ptr<Count> num_bytes) {
  const std::lock_guard lock(mutex_);
  counts_responses_ = std::move(num_responses);
  counts_bytes_ = std::move(num_bytes);
  if (counts_responses_) counts_responses_->store(0 - num_responses_);
  if (counts_bytes_) counts_bytes_->store(0 - num_bytes_);
}

bool ResponseWindow::is_full() {
  const std::lock_guard lock(mutex_);
  return full();
}

void ResponseWindow::wait(const Request& request) {
  std::unique_lock lock(mutex_);
  const auto pause = taken_responses_ == nullptr ? kLookAgain : kLookElsewhere;
  while (full() && !request.is_cancelled()) room_.wait_for(lock, pause);
}

}  // namespace naiad
