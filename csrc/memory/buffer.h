#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "memory/device.h"

namespace naiad {

// A run of bytes with an owner count. Who made the bytes decides in release() what happens to them: a pool
// block goes back to its pool, a Python object is handed to the thread that may drop it, an allocation is
// freed. The bytes of a buffer never move.
class Buffer {
 public:
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() const { return data_; }
  std::size_t size_bytes() const { return size_bytes_; }
  Device device() const { return device_; }

 protected:
  Buffer(std::byte* data, std::size_t size_bytes, Device device = {})
      : data_(data), size_bytes_(size_bytes), device_(device) {}
  virtual ~Buffer() = default;

  // Called once, by the thread that drops the last owner: any thread. Must not block or throw.
  virtual void release() noexcept = 0;

 private:
  friend class BufferRef;

  std::byte* data_;
  std::size_t size_bytes_;
  Device device_;
  // Owners. The decrement is acq_rel: the last owner's release() sees all that other owners wrote.
  std::atomic<std::uint32_t> owners_{1};
};

// One share of a Buffer; empty by default. A BufferRef is not thread-safe, the count behind it is.
class BufferRef {
 public:
  BufferRef() = default;
  // Takes over the share that a new Buffer is born with. Any thread.
  static BufferRef adopt(Buffer* buffer) {
    BufferRef ref;
    ref.buffer_ = buffer;
    return ref;
  }
  BufferRef(const BufferRef& other) : buffer_(other.buffer_) {
    if (buffer_ != nullptr) buffer_->owners_.fetch_add(1, std::memory_order_relaxed);
  }
  BufferRef(BufferRef&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  BufferRef& operator=(BufferRef other) noexcept {
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~BufferRef() {
    if (buffer_ != nullptr && buffer_->owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      buffer_->release();
    }
  }

  explicit operator bool() const { return buffer_ != nullptr; }
  Buffer* operator->() const { return buffer_; }
  Buffer* get() const { return buffer_; }
  // True when this is the only share. Any thread (exact only for the thread that holds it).
  bool unique() const { return buffer_ != nullptr && buffer_->owners_.load(std::memory_order_acquire) == 1; }

 private:
  Buffer* buffer_ = nullptr;
};

// Bytes of the C++ heap, for the places that have no pool (tests, load time). Any thread.
BufferRef make_heap_buffer(std::size_t size_bytes);

}  // namespace naiad
