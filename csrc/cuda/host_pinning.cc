#include "memory/host_pinning.h"

#include <cuda_runtime_api.h>

#include "cuda/cuda_calls.h"

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
  // Mapped: kernels gather from it where the GPU can (GpuFacts::reads_pinned).
  const cudaError_t error =
      cudaHostRegister(data, size_bytes, cudaHostRegisterPortable | cudaHostRegisterMapped);
  if (error == cudaSuccess) return {};
  return {Code::kUnsupported, cuda_status(error, "cannot pin host memory").message()};
}

void unpin_host_memory(void* data) {
  static_cast<void>(cudaHostUnregister(data));
}

}  // namespace naiad
