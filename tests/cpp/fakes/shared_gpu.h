#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "memory/gpu_memory.h"

namespace naiad::test {

// An allocation whose bytes lie in the heap; counts those that are open.
class FakeMemory final : public GpuMemory {
 public:
  FakeMemory(std::shared_ptr<std::vector<std::byte>> bytes, int& num_open)
      : bytes_(std::move(bytes)), num_open_(num_open) {
    ++num_open_;
  }
  ~FakeMemory() override { --num_open_; }
  std::uint64_t size_bytes() const override { return bytes_->size(); }
  const std::byte* data() const override { return bytes_->data(); }
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes_->data() + at_bytes, into.size());
    return {};
  }
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const override {
    std::memcpy(bytes_->data() + at_bytes, bytes.data(), bytes.size());
    return {};
  }

 private:
  const std::shared_ptr<std::vector<std::byte>> bytes_;
  int& num_open_;
};

// A machine with one GPU and one allocation, whose handle is full of sevens.
struct SharedGpu {
  std::shared_ptr<std::vector<std::byte>> bytes = std::make_shared<std::vector<std::byte>>(100);
  int num_open = 0;

  static GpuMemoryHandle handle() {
    GpuMemoryHandle made;
    made.fill(std::byte{7});
    return made;
  }
  OpenGpuMemory opener() {
    return [this](const GpuMemoryHandle& handle, int device,
                  std::unique_ptr<const GpuMemory>& memory) -> Status {
      if (device != 0) return {Code::kInvalidArgument, "there is no GPU " + std::to_string(device)};
      if (handle != SharedGpu::handle()) return {Code::kInvalidArgument, "failed to open CUDA IPC handle"};
      memory = std::make_unique<FakeMemory>(bytes, num_open);
      return {};
    };
  }
};

}  // namespace naiad::test
