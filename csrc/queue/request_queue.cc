#include "queue/request_queue.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace naiad {

Status queue_full() {
  return {Code::kUnavailable, "Exceeds maximum queue size"};
}

Status queue_closed() {
  return {Code::kUnavailable,
          "Server is stopping, scheduler for model has stopped accepting new inference requests"};
}

// Twice the room that is needed: a cell whose consumer is slow to let go of it does not hold up a push.
RequestQueue::RequestQueue(std::size_t max_size)
    : max_size_(max_size), ring_(std::min(max_size, kMaxRing) * 2) {}

Status RequestQueue::try_push(std::unique_ptr<Request>& request) {
  const std::size_t ahead = waiting_.fetch_add(1, std::memory_order_seq_cst);
  if (closed_.load(std::memory_order_seq_cst)) {
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
    parker_.notify_one();  // the consumer may be waiting for the last push to make up its mind
    return queue_closed();
  }
  if (ahead >= max_size_) {
    waiting_.fetch_sub(1, std::memory_order_seq_cst);
    return queue_full();
  }
  if (max_size_ > kMaxRing) {
    if (is_over_.load(std::memory_order_seq_cst) || !ring_.try_push(request)) push_over(request);
  } else {
    // The count leaves room for it: a refusal means only that a pop is halfway through.
    while (!ring_.try_push(request)) std::this_thread::yield();
  }
  parker_.notify_one();
  return {};
}

std::unique_ptr<Request> RequestQueue::try_pop() {
  std::unique_ptr<Request> request;
  if (taken_.empty()) {
    if (ring_.try_pop(request) || !is_over_.load(std::memory_order_seq_cst)) return request;
    const std::lock_guard lock(over_mutex_);
    // Who has put one in over_ may have put one in the ring before, which goes first.
    if (ring_.size_approx() != 0) {
      ring_.try_pop(request);
      return request;
    }
    taken_.swap(over_);
    is_over_.store(false, std::memory_order_seq_cst);
  }
  if (taken_.empty()) return request;
  request = std::move(taken_.front());
  taken_.pop_front();
  return request;
}

void RequestQueue::push_over(std::unique_ptr<Request>& request) {
  const std::lock_guard lock(over_mutex_);
  over_.push_back(std::move(request));
  is_over_.store(true, std::memory_order_seq_cst);
}

void RequestQueue::close() {
  closed_.store(true, std::memory_order_seq_cst);
  parker_.notify_all();
}

}  // namespace naiad
