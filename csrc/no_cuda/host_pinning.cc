#include "memory/host_pinning.h"

namespace naiad {

int gpu_count() {
  return 0;
}

std::string gpu_absence() {
  return "naiad was built without CUDA";
}

Status pin_host_memory(void*, std::size_t) {
  return {Code::kUnsupported, "cannot pin host memory: naiad was built without CUDA"};
}

void unpin_host_memory(void*) {}

}  // namespace naiad
