#include "io/send_queue.h"

#include <algorithm>
#include <utility>

namespace naiad {
namespace {

constexpr std::size_t kKeptCapacity = 8;

}  // namespace

void SendQueue::push(Outgoing outgoing) {
  outgoing.message.end_text();
  const std::size_t size_bytes = outgoing.message.size_bytes();
  if (size_bytes == 0) return;
  // Not more than half of the vector is spent, so that this costs constant time on average.
  if (first_ >= kKeptCapacity && first_ > queue_.size() / 2) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  queue_.push_back(std::move(outgoing));
  size_bytes_ += size_bytes;
}

std::size_t SendQueue::gather(std::span<iovec> pieces) const {
  std::size_t count = 0;
  std::size_t piece = piece_;
  std::size_t offset = offset_;
  for (std::size_t i = first_; i < queue_.size(); ++i) {
    const WireMessage& message = queue_[i].message;
    for (; piece < message.pieces().size(); ++piece) {
      const auto bytes = message.bytes(message.pieces()[piece]).subspan(offset);
      offset = 0;
      if (bytes.empty()) continue;
      if (count == pieces.size()) return count;
      // iovec serves reading too, so it lacks the const.
      pieces[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    }
    piece = 0;
  }
  return count;
}

void SendQueue::take(std::size_t size_bytes) {
  size_bytes_ -= size_bytes;
  while (!empty()) {
    const auto& pieces = queue_[first_].message.pieces();
    while (piece_ < pieces.size()) {
      const std::size_t left = pieces[piece_].size_bytes - offset_;
      if (size_bytes < left) {
        offset_ += size_bytes;
        return;
      }
      size_bytes -= left;
      offset_ = 0;
      ++piece_;
    }
    pop();
  }
}

void SendQueue::pop() {
  // Dropped when the queue is in order again: an owner may be anything.
  const Outgoing sent = std::move(queue_[first_]);
  ++first_;
  piece_ = 0;
  if (!empty()) return;
  queue_.clear();
  first_ = 0;
  if (queue_.capacity() > kKeptCapacity) queue_.shrink_to_fit();
}

void SendQueue::clear() {
  const std::vector<Outgoing> dropped = std::exchange(queue_, {});
  first_ = piece_ = offset_ = size_bytes_ = 0;
}

}  // namespace naiad
