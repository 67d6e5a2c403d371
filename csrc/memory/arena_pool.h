#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/error.h"
#include "memory/arena.h"
#include "memory/free_list.h"
#include "memory/size_class.h"
#include "memory/tensor_pool.h"

namespace naiad {

// How an ArenaPool behaves; the functions are those of memory/host_pinning.h, or a test's.
struct ArenaPoolOptions {
  std::size_t capacity_bytes = 0;
  int arena_fd = -1;  // of an arena that is there already
  // The first bytes of the arena, up to so many, are pinned as they come into use.
  std::size_t pinned_limit_bytes = 0;
  Status (*pin)(void*, std::size_t) = nullptr;
  void (*unpin)(void*) = nullptr;
  // Free blocks of kLargeBlockBytes and more keep their memory up to this sum; beyond it a block that comes
  // back gives its pages to the system.
  std::size_t max_cached_large_bytes = std::size_t{256} << 20;
};

// The TensorPool over an Arena. Blocks are cut once, from the front of the arena, and stay in their size
// class; the free ones of a class are a lock-free stack. A class whose stack is empty cuts new blocks under a
// mutex; when nothing is left to cut, a free block of a bigger class serves. A block's Buffer object lies in
// its slot and is built there for each owner: in the steady state nothing is allocated but the block.
class ArenaPool final : public TensorPool {
 public:
  static constexpr std::size_t kLargeBlockBytes = std::size_t{1} << 20;
  static constexpr std::size_t kPinStepBytes = std::size_t{16} << 20;

  // Throws Error(kUnavailable). Any thread.
  explicit ArenaPool(const ArenaPoolOptions& options);
  // Every buffer must have come back; a debug build logs those that have not. Any thread.
  ~ArenaPool() override;

  // A class's first blocks are cut, and pinned where asked for, under a mutex. Any thread.
  BufferRef try_allocate(std::size_t size_bytes) override;
  PoolUsage usage() const override;
  bool is_pinned(const std::byte* data) const override;
  // Of large blocks that are not pinned. While it looks at those of one size, they are not there for others,
  // who have new ones cut: nothing is done where little of the arena is left for that.
  void trim() override;
  int arena_fd() const override { return arena_.fd(); }
  const Arena* arena() const override { return &arena_; }

 private:
  class Block;
  struct Slot;
  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  // Gives the FreeList the link of a slot.
  struct Links {
    const ArenaPool* pool;
    std::atomic<std::uint32_t>& operator()(std::uint32_t index) const;
  };
  struct alignas(kCacheLineBytes) Class {
    FreeList<Links> free;
    // Counts of this class's blocks, relaxed: read for metrics only, pair with nothing.
    std::atomic<std::uint64_t> out{0};
    std::atomic<std::uint64_t> resident{0};
  };
  // Slots come in segments that double in size, so that a slot never moves and its number finds it.
  static constexpr std::size_t kFirstSegmentSlots = 1024;
  static constexpr std::size_t kNumSegments = 22;
  static constexpr std::size_t kMaxSlots = kFirstSegmentSlots * ((std::size_t{1} << kNumSegments) - 1);

  Slot& slot_at(std::uint32_t index) const;
  BufferRef hand_out(std::uint32_t index, std::size_t size_bytes);
  void take_back(std::uint32_t index) noexcept;
  std::uint32_t cut(std::size_t size_class);
  // Of a large block that nobody has.
  bool give_back(Slot& slot) noexcept;
  bool take_range(std::size_t size_bytes, std::size_t alignment_bytes, Range& range);
  std::uint32_t add_slot(std::size_t size_class, std::size_t offset);
  void pin_up_to(std::size_t end);
  void log_blocks_out() const;

  const ArenaPoolOptions options_;
  Arena arena_;
  std::array<Class, kNumSizeClasses> classes_;
  // Written under growing_, relaxed: a slot number reaches another thread through a FreeList or along with a
  // block, and the release and acquire on that way carry the segment with it.
  std::array<std::atomic<Slot*>, kNumSegments> segments_{};
  // Bytes of free large blocks that hold memory. Relaxed: a soft bound, pairs with nothing.
  std::atomic<std::size_t> cached_large_bytes_{0};
  // Bytes pinned at the front of the arena. Relaxed: a block's own place relative to it is settled before the
  // block is first handed out.
  std::atomic<std::size_t> pinned_bytes_{0};

  std::mutex growing_;              // guards what follows
  std::size_t cursor_ = 0;          // what lies behind it was never cut
  std::vector<Range> gaps_;         // left over before the cursor by alignment
  std::vector<std::byte*> pinned_;  // starts of pinned ranges
  std::uint32_t num_slots_ = 0;
  bool pinning_ = false;
};

}  // namespace naiad
