#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "queue/parker.h"
#include "queue/ring.h"
#include "request/request.h"

namespace naiad {

// What is said to who brings a request when there is no room, or no more. Any thread.
Status queue_full();
Status queue_closed();

// The queue before a model: any thread pushes, never waiting; the one consumer of the moment pops and may
// wait. Counts what waits, in here or taken over by the consumer, against the limit, if there is one. What
// finds the ring full, because the limit is above kMaxRing, waits in a list behind a lock.
class RequestQueue {
 public:
  static constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t kMaxRing = 8192;

  explicit RequestQueue(std::size_t max_size);

  // Takes the request, or leaves it where it is and says why not: kUnavailable when the queue is full or
  // closed. Any thread; never blocks.
  Status try_push(std::unique_ptr<Request>& request);

  // The oldest request, or null. A popped request still counts as waiting until forget() is told.
  // Consumer; never blocks.
  std::unique_ptr<Request> try_pop();

  // `count` popped requests wait no longer. Consumer.
  void forget(std::size_t count) { waiting_.fetch_sub(count, std::memory_order_seq_cst); }

  // Announces that the consumer will wait; it looks once more at what it waits for between this and wait()
  // or cancel_wait().
  Parker::Ticket prepare_wait() { return parker_.prepare(); }
  void cancel_wait(Parker::Ticket ticket) { parker_.cancel(ticket); }
  // Blocks until a push or close() after prepare_wait(), or until `deadline_ns` of the steady clock.
  // Consumer.
  void wait(Parker::Ticket ticket, std::optional<std::uint64_t> deadline_ns) {
    parker_.wait(ticket, deadline_ns);
  }

  // Ends a wait() that began with a prepare_wait() before this. Any thread.
  void wake() { parker_.notify_all(); }

  // Refuses pushes from now on and wakes the consumer. Any thread.
  void close();
  bool closed() const { return closed_.load(std::memory_order_seq_cst); }

  // Requests that wait. Once the queue is closed and this is 0 it stays 0. Any thread.
  std::size_t num_waiting() const { return waiting_.load(std::memory_order_seq_cst); }

 private:
  void push_over(std::unique_ptr<Request>& request);

  const std::size_t max_size_;
  Ring<std::unique_ptr<Request>> ring_;
  std::mutex over_mutex_;
  std::deque<std::unique_ptr<Request>> over_;  // guarded by over_mutex_
  // Whether over_ holds any (seq_cst): a thread that has put one there puts its next one there too, unless
  // the consumer has taken all of them, which it then gives before those in the ring.
  std::atomic<bool> is_over_{false};
  std::deque<std::unique_ptr<Request>> taken_;  // the consumer's
  Parker parker_;
  // A push counts itself in waiting_ before it looks at closed_, and close() writes closed_ before anybody
  // looks whether waiting_ is 0 (both seq_cst): a push that slips in is seen, or sees that it is late.
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace naiad
