#include "memory/host_pinning.h"

#include <cuda_runtime_api.h>

namespace naiad {

int gpu_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::string gpu_absence() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return std::string("no usable GPU: ") + cudaGetErrorString(error);
  return count == 0 ? "no GPU in this machine" : "";
}

Status pin_host_memory(void* data, std::size_t size_bytes) {
  const cudaError_t error = cudaHostRegister(data, size_bytes, cudaHostRegisterPortable);
  if (error == cudaSuccess) return {};
  return {Code::kUnsupported, std::string("cannot pin host memory: ") + cudaGetErrorString(error)};
}

void unpin_host_memory(void* data) {
  static_cast<void>(cudaHostUnregister(data));
}

}  // namespace naiad
