#include "execute/leases.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace naiad {

std::uint32_t Leases::hold(BufferRef buffer) {
  std::vector<BufferRef> dropped;  // let go without the lock
  const std::lock_guard lock(mutex_);
  if (out_.size() >= std::min(look_at_, buffers_.size())) collect_locked(dropped);
  std::uint32_t slot = next_;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else if (next_ == buffers_.size()) {
    throw Error(Code::kUnavailable, "too many tensors are held by another process; try again later");
  } else {
    ++next_;
  }
  flag_(slot).store(0, std::memory_order_relaxed);
  buffers_[slot] = std::move(buffer);
  out_.push_back(slot);
  return slot;
}

void Leases::collect() {
  std::vector<BufferRef> dropped;
  const std::lock_guard lock(mutex_);
  collect_locked(dropped);
}

void Leases::collect_locked(std::vector<BufferRef>& dropped) {
  std::erase_if(out_, [&](std::uint32_t slot) {
    // Acquire: pairs with the release of who is done, whose reads are over.
    if (flag_(slot).load(std::memory_order_acquire) == 0) return false;
    dropped.push_back(std::move(buffers_[slot]));
    buffers_[slot] = BufferRef();
    free_.push_back(slot);
    return true;
  });
  look_at_ = std::max(kLookAtLeast, out_.size() * 2);
}

}  // namespace naiad
