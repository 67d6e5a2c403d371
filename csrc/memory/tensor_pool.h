#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "memory/buffer.h"

namespace naiad {

// What blocks are aligned to, and what a model wants of the tensors that it is given (Execution::input).
inline constexpr std::size_t kTensorAlignment = 64;

class Arena;

// What the pool holds, for metrics. All in bytes.
struct PoolUsage {
  std::size_t capacity_bytes = 0;  // the arena's address range
  std::size_t mapped_bytes = 0;    // in blocks handed out at least once, less those given back to the system
  std::size_t used_bytes = 0;      // in blocks that are out now
  std::size_t pinned_bytes = 0;    // registered with CUDA for DMA
};

// Blocks for tensors and message bodies, cut in size classes from one memfd arena: memory that worker
// processes can map by offset, with no name to attack, and that is pinned for DMA where there is a GPU.
// Blocks are aligned to kTensorAlignment and not zeroed. The pool outlives every buffer that it gave; who may
// outlive its owner takes a share of it, where it is a shared one.
class TensorPool : public std::enable_shared_from_this<TensorPool> {
 public:
  virtual ~TensorPool() = default;

  // A block of at least `size_bytes` (size_bytes() is what was asked for; 0 is
  // allowed). Empty when the arena is exhausted. Any thread; never blocks.
  virtual BufferRef try_allocate(std::size_t size_bytes) = 0;

  // Any thread.
  virtual PoolUsage usage() const = 0;

  // Whether the bytes lie in a block of this pool that is pinned for DMA. Any thread.
  virtual bool is_pinned(const std::byte* /*data*/) const { return false; }

  // Gives the memory of free blocks back to the system, as far as that can be done. Any thread.
  virtual void trim() {}

  // The arena as a file and the offset of a block in it, for a channel to another process; -1 / nothing where
  // the pool has no arena. Any thread.
  virtual int arena_fd() const = 0;
  virtual const Arena* arena() const { return nullptr; }
};

// The pool over a memfd arena of `capacity_bytes` (address space; memory is taken page by page when blocks
// are first used). The first `pinned_limit_bytes` of it are pinned for DMA, step by step as they come into
// use; where that fails (no GPU) a warning is logged and nothing more is pinned. Throws Error(kUnavailable)
// when the arena cannot be made. Any thread.
std::unique_ptr<TensorPool> make_arena_pool(std::size_t capacity_bytes, std::size_t pinned_limit_bytes = 0);
// The same over an arena that another process has made: see Arena. One pool alone may cut it.
std::unique_ptr<TensorPool> make_arena_pool_of(int fd, std::size_t capacity_bytes);

}  // namespace naiad
