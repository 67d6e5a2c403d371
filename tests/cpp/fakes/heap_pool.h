#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "memory/tensor_pool.h"

namespace naiad {

// A TensorPool over the C++ heap for tests that need no arena: every block is its own allocation, so that a
// sanitizer sees each byte outside it. Refuses more than `capacity_bytes` at once.
class HeapPool final : public TensorPool {
 public:
  explicit HeapPool(std::size_t capacity_bytes = std::numeric_limits<std::size_t>::max())
      : capacity_bytes_(capacity_bytes) {}

  BufferRef try_allocate(std::size_t size_bytes) override {
    if (size_bytes > capacity_bytes_) return {};
    if (used_bytes_->fetch_add(size_bytes) > capacity_bytes_ - size_bytes) {
      used_bytes_->fetch_sub(size_bytes);
      return {};
    }
    return BufferRef::adopt(std::make_unique<Block>(size_bytes, used_bytes_).release());
  }
  PoolUsage usage() const override { return {capacity_bytes_, used_bytes_->load(), used_bytes_->load(), 0}; }
  int arena_fd() const override { return -1; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  using Count = std::shared_ptr<std::atomic<std::size_t>>;

  class Block final : public Buffer {
   public:
    Block(std::size_t size_bytes, Count used_bytes)
        : Buffer(static_cast<std::byte*>(::operator new(size_bytes, kAlignment)), size_bytes),
          used_bytes_(std::move(used_bytes)) {}
    ~Block() override { ::operator delete(data(), kAlignment); }

   private:
    void release() noexcept override {
      used_bytes_->fetch_sub(size_bytes());
      std::unique_ptr<Block> self(this);
    }

    Count used_bytes_;
  };

  std::size_t capacity_bytes_;
  Count used_bytes_ = std::make_shared<std::atomic<std::size_t>>(0);  // a count: pairs with nothing
};

}  // namespace naiad
