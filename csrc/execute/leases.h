#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "memory/buffer.h"

namespace naiad {

// Buffers that another process works with, by slot, until it sets the flag of the slot. Any thread.
class Leases {
 public:
  using Flag = std::function<std::atomic<std::uint32_t>&(std::size_t slot)>;

  Leases(std::size_t num_slots, Flag flag) : flag_(std::move(flag)), buffers_(num_slots) {}

  // Throws Error(kUnavailable) when every slot is taken.
  std::uint32_t hold(BufferRef buffer);
  // Lets go of what the other side is done with.
  void collect();

 private:
  void collect_locked(std::vector<BufferRef>& dropped);

  const Flag flag_;
  std::mutex mutex_;
  std::vector<BufferRef> buffers_;      // by slot
  std::vector<std::uint32_t> out_;      // slots in use
  std::vector<std::uint32_t> free_;     // slots that were
  std::uint32_t next_ = 0;              // those from here on were never used
  std::size_t look_at_ = kLookAtLeast;  // so many out before it is looked again

  static constexpr std::size_t kLookAtLeast = 16;
};

}  // namespace naiad
