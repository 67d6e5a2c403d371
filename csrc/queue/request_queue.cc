#include "queue/request_queue.h"

#include <thread>

namespace naiad {

Status queue_full() {
  return {Code::kUnavailable, "Exceeds maximum queue size"};
}

Status queue_closed() {
  return {Code::kUnavailable,
          "Server is stopping, scheduler for model has stopped accepting new inference requests"};
}

// Twice the room that is needed: a cell whose consumer is slow to let go of it does not hold up a push.
RequestQueue::RequestQueue(std::size_t max_size) : max_size_(max_size), ring_(max_size * 2) {}

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
  // The count leaves room for it: a refusal means only that a pop is halfway through.
  while (!ring_.try_push(request)) std::this_thread::yield();
  parker_.notify_one();
  return {};
}

std::unique_ptr<Request> RequestQueue::try_pop() {
  std::unique_ptr<Request> request;
  ring_.try_pop(request);
  return request;
}

void RequestQueue::close() {
  closed_.store(true, std::memory_order_seq_cst);
  parker_.notify_all();
}

}  // namespace naiad
