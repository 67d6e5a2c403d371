#include "memory/gpu_memory.h"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>
#include <utility>

#include "cuda/cuda_calls.h"
#include "memory/host_pinning.h"

namespace naiad {
namespace {

static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(GpuMemoryHandle));

Status failed(Code code, std::string_view what, cudaError_t error) {
  return {code, cuda_status(error, what).message()};
}

// The size of the allocation that starts at `start`. The runtime API does not tell it, the driver does.
cudaError_t allocation_bytes(void* start, std::uint64_t& size_bytes) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion("cuMemGetAddressRange", &function, 12000, cudaEnableDefault, &found);
  if (error != cudaSuccess) return error;
  if (found != cudaDriverEntryPointSuccess) return cudaErrorSymbolNotFound;
  const auto address_range =
      reinterpret_cast<CUresult(CUDAAPI*)(CUdeviceptr*, std::size_t*, CUdeviceptr)>(function);
  CUdeviceptr base = 0;
  std::size_t bytes = 0;
  const auto address = reinterpret_cast<CUdeviceptr>(start);
  if (address_range(&base, &bytes, address) != CUDA_SUCCESS) return cudaErrorInvalidValue;
  size_bytes = bytes - (address - base);
  return cudaSuccess;
}

class IpcMemory final : public GpuMemory {
 public:
  // Takes over the open mapping.
  IpcMemory(void* start, int device, std::uint64_t size_bytes)
      : start_(static_cast<std::byte*>(start)), device_(device), size_bytes_(size_bytes) {}
  ~IpcMemory() override {
    const CurrentDevice current(device_);
    static_cast<void>(cudaIpcCloseMemHandle(start_));
  }

  std::uint64_t size_bytes() const override { return size_bytes_; }
  const std::byte* data() const override { return start_; }
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const override {
    return copy(into.data(), start_ + at_bytes, into.size());
  }
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const override {
    return copy(start_ + at_bytes, bytes.data(), bytes.size());
  }

 private:
  // On a stream of this thread alone, so that no thread waits for the work of another. Addresses tell where
  // they lie.
  Status copy(void* to, const void* from, std::size_t size_bytes) const {
    const CurrentDevice current(device_);
    cudaError_t error = current.error();
    if (error == cudaSuccess)
      error = cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDefault, cudaStreamPerThread);
    if (error == cudaSuccess) error = cudaStreamSynchronize(cudaStreamPerThread);
    if (error == cudaSuccess) return {};
    return failed(Code::kInternal, "cannot copy CUDA shared memory", error);
  }

  std::byte* const start_;
  const int device_;
  const std::uint64_t size_bytes_;
};

}  // namespace

Status open_gpu_memory(const GpuMemoryHandle& handle, int device, std::unique_ptr<const GpuMemory>& memory) {
  if (Status status = check_gpu(device); !status.ok()) return status;
  const CurrentDevice current(device);
  if (current.error() != cudaSuccess) {
    return failed(Code::kInternal, "cannot use GPU " + std::to_string(device), current.error());
  }
  cudaIpcMemHandle_t wire{};
  std::memcpy(&wire, handle.data(), handle.size());
  void* start = nullptr;
  if (const cudaError_t error = cudaIpcOpenMemHandle(&start, wire, cudaIpcMemLazyEnablePeerAccess);
      error != cudaSuccess) {
    return failed(Code::kInvalidArgument, "failed to open CUDA IPC handle", error);
  }
  std::uint64_t size_bytes = 0;
  const cudaError_t error = allocation_bytes(start, size_bytes);
  memory = std::make_unique<IpcMemory>(start, device, size_bytes);  // which closes the mapping in any case
  if (error == cudaSuccess) return {};
  memory.reset();
  return failed(Code::kInternal, "cannot find the size of the allocation", error);
}

}  // namespace naiad
