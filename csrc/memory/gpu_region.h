#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "memory/gpu_memory.h"
#include "memory/shared_region.h"

namespace naiad {

// The start of an allocation of a client on a GPU.
class GpuRegion final : public SharedRegion {
 public:
  // Opens the allocation behind `handle` with `open`, whose errors it passes on, and checks that it has
  // `size_bytes`, more than none: kInvalidArgument otherwise. Any thread.
  static Status open(std::string_view name, const GpuMemoryHandle& handle, int device,
                     std::uint64_t size_bytes, const OpenGpuMemory& open,
                     std::shared_ptr<const GpuRegion>& region);

  // The number of the GPU, as registered. Any thread.
  int device() const { return device_; }

  // An allocation on a GPU keeps its size.
  Status check() const override { return {}; }
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const override {
    return memory_->read(at_bytes, into);
  }
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const override {
    return memory_->write(at_bytes, bytes);
  }
  const std::byte* gpu_data() const override { return memory_->data(); }
  Device gpu() const override { return {DeviceKind::kGpu, device_}; }

 private:
  GpuRegion(std::string_view name, int device, std::uint64_t size_bytes,
            std::unique_ptr<const GpuMemory> memory)
      : SharedRegion(name, size_bytes), device_(device), memory_(std::move(memory)) {}

  const int device_;
  const std::unique_ptr<const GpuMemory> memory_;
};

}  // namespace naiad
