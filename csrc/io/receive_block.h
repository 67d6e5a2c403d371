#pragma once

#include <cstddef>
#include <span>

#include "memory/buffer.h"
#include "memory/tensor_pool.h"

namespace naiad {

// Where a stream's received bytes lie until they are consumed: one stretch of one pool block, which requests
// may share. Bytes that a share may see are never written again. One thread.
class ReceiveBlock {
 public:
  static constexpr std::size_t kFirstBytes = std::size_t{8} << 10;
  static constexpr std::size_t kBulkBytes = std::size_t{64} << 10;
  static constexpr std::size_t kLeastRoomBytes = std::size_t{1} << 10;

  explicit ReceiveBlock(TensorPool& pool) : pool_(pool) {}

  std::span<const std::byte> bytes() const {
    return block_ ? std::span<const std::byte>{block_->data() + begin_, end_ - begin_}
                  : std::span<const std::byte>{};
  }
  const BufferRef& owner() const { return block_; }
  void consume(std::size_t size_bytes) { begin_ += size_bytes; }

  // At least kLeastRoomBytes behind bytes(), which it may move; a bigger block for a stream that filled the
  // last one. Empty when the pool is exhausted.
  std::span<std::byte> try_room();
  // So many bytes of the room have been filled.
  void fill(std::size_t size_bytes);
  // Lets go of the block when all its bytes are consumed.
  void trim();
  // Lets go of everything.
  void clear();

 private:
  bool try_replace(std::size_t size_bytes);

  TensorPool& pool_;
  BufferRef block_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t next_bytes_ = kFirstBytes;
};

}  // namespace naiad
