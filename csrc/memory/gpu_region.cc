#include "memory/gpu_region.h"

#include <string>

#include "base/quoted.h"

namespace naiad {

Status GpuRegion::open(std::string_view name, const GpuMemoryHandle& handle, int device,
                       std::uint64_t size_bytes, const OpenGpuMemory& open,
                       std::shared_ptr<const GpuRegion>& region) {
  const auto failed = [&](Code code, std::string_view reason) {
    return Status(
        code, "failed to register CUDA shared memory region: " + quoted(name) + ", " + std::string(reason));
  };
  std::unique_ptr<const GpuMemory> memory;
  if (const Status status = open(handle, device, memory); !status.ok()) {
    return failed(status.code(), status.message());
  }
  if (size_bytes == 0 || size_bytes > memory->size_bytes()) {
    return failed(Code::kInvalidArgument,
                  "its byte size should be from 1 to " + std::to_string(memory->size_bytes()) +
                      ", the size of the allocation, got " + std::to_string(size_bytes));
  }
  region.reset(new GpuRegion(name, device, size_bytes, std::move(memory)));
  return {};
}

}  // namespace naiad
