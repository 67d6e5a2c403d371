#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

#include "io/stream.h"

namespace naiad {

// What a stream has to send, in order. One thread.
class SendQueue {
 public:
  void push(Outgoing outgoing);
  bool empty() const { return first_ == queue_.size(); }
  std::size_t size_bytes() const { return size_bytes_; }

  // Fills `pieces` from the front of the queue; says how many there are. Valid until the queue is changed.
  std::size_t gather(std::span<iovec> pieces) const;
  // So many bytes have been sent. Owners whose last byte is among them are dropped.
  void take(std::size_t size_bytes);
  void clear();

 private:
  void pop();

  std::vector<Outgoing> queue_;
  std::size_t first_ = 0;   // of queue_: those before it are empty
  std::size_t piece_ = 0;   // of the first
  std::size_t offset_ = 0;  // in that piece
  std::size_t size_bytes_ = 0;
};

}  // namespace naiad
