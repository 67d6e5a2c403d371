#include "memory/buffer.h"

namespace naiad {
namespace {

class HeapBuffer final : public Buffer {
 public:
  static BufferRef make(std::size_t size_bytes) {
    auto bytes = std::make_unique<std::byte[]>(size_bytes);
    std::byte* data = bytes.get();
    return BufferRef::adopt(
        std::unique_ptr<HeapBuffer>(new HeapBuffer(std::move(bytes), data, size_bytes)).release());
  }

 private:
  HeapBuffer(std::unique_ptr<std::byte[]> bytes, std::byte* data, std::size_t size_bytes)
      : Buffer(data, size_bytes), bytes_(std::move(bytes)) {}
  void release() noexcept override { std::unique_ptr<HeapBuffer> self(this); }

  friend std::default_delete<HeapBuffer>;
  ~HeapBuffer() override = default;

  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace

BufferRef make_heap_buffer(std::size_t size_bytes) {
  return HeapBuffer::make(size_bytes);
}

}  // namespace naiad
