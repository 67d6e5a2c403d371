#include "memory/gpu.h"

#include "memory/host_pinning.h"

namespace naiad {

Status open_gpu(int, std::shared_ptr<Gpu>&) {
  return {Code::kUnsupported, "GPUs not supported: " + gpu_absence()};
}

}  // namespace naiad
