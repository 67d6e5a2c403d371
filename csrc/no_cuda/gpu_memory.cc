#include "memory/gpu_memory.h"

#include "memory/host_pinning.h"

namespace naiad {

Status open_gpu_memory(const GpuMemoryHandle&, int, std::unique_ptr<const GpuMemory>&) {
  return {Code::kUnsupported, "GPUs not supported: " + gpu_absence()};
}

}  // namespace naiad
