#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/error.h"

namespace naiad {

// What another process hands out of memory that it has allocated on a GPU: cudaIpcMemHandle_t.
using GpuMemoryHandle = std::array<std::byte, 64>;

// Memory of a GPU that another process has allocated, open here until this object ends.
class GpuMemory {
 public:
  GpuMemory() = default;
  virtual ~GpuMemory() = default;
  GpuMemory(const GpuMemory&) = delete;
  GpuMemory& operator=(const GpuMemory&) = delete;

  // Size of the whole allocation.
  virtual std::uint64_t size_bytes() const = 0;
  // Its start, on the GPU.
  virtual const std::byte* data() const = 0;
  // Copies from the GPU to the host, or to it from the host or any GPU of this process, what the caller has
  // checked to lie in the allocation; returns when the bytes are there. Any thread. kInternal when the device
  // cannot.
  virtual Status read(std::uint64_t at_bytes, std::span<std::byte> into) const = 0;
  virtual Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const = 0;
};

using OpenGpuMemory = std::function<Status(const GpuMemoryHandle& handle, int device,
                                           std::unique_ptr<const GpuMemory>& memory)>;

// Implemented by csrc/cuda and by csrc/no_cuda, as host_pinning.h says. kUnsupported without a GPU,
// kInvalidArgument for a handle that this process cannot open (one of its own, for example) or a device that
// is not there. Any thread.
Status open_gpu_memory(const GpuMemoryHandle& handle, int device, std::unique_ptr<const GpuMemory>& memory);

}  // namespace naiad
