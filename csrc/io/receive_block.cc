#include "io/receive_block.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace naiad {

// A block of that size with what is left in its front.
bool ReceiveBlock::try_replace(std::size_t size_bytes) {
  BufferRef bigger = pool_.try_allocate(size_bytes);
  if (!bigger) return false;
  const auto left = bytes();
  if (!left.empty()) std::memcpy(bigger->data(), left.data(), left.size());
  begin_ = 0;
  end_ = left.size();
  block_ = std::move(bigger);
  return true;
}

std::span<std::byte> ReceiveBlock::try_room() {
  const std::size_t left_bytes = end_ - begin_;
  // Shares may see what lies before end_; behind it nobody looks.
  const bool movable = begin_ > 0 && block_.unique();
  if (!block_ || (left_bytes == 0 && block_->size_bytes() < next_bytes_)) {
    if (!try_replace(next_bytes_) && !block_) return {};
  } else if (left_bytes == 0 && movable) {
    begin_ = end_ = 0;
  }
  if (block_->size_bytes() - end_ < kLeastRoomBytes) {
    if (movable && left_bytes <= block_->size_bytes() / 2) {
      std::memmove(block_->data(), block_->data() + begin_, left_bytes);
      begin_ = 0;
      end_ = left_bytes;
    } else if (!try_replace(std::max(next_bytes_, std::bit_ceil(2 * left_bytes)))) {
      return {};
    }
  }
  return {block_->data() + end_, block_->size_bytes() - end_};
}

void ReceiveBlock::fill(std::size_t size_bytes) {
  const std::size_t room_bytes = block_->size_bytes() - end_;
  end_ += size_bytes;
  if (size_bytes == room_bytes) {
    next_bytes_ = std::min(2 * next_bytes_, kBulkBytes);
  } else if (size_bytes < next_bytes_ / 4) {
    next_bytes_ = kFirstBytes;
  }
}

void ReceiveBlock::trim() {
  if (begin_ == end_) clear();
}

void ReceiveBlock::clear() {
  block_ = {};
  begin_ = end_ = 0;
}

}  // namespace naiad
