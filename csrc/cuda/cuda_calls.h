#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "memory/host_pinning.h"

namespace naiad {

// What a call of the runtime has come to. Out of memory is kUnavailable, all else kInternal.
inline Status cuda_status(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());  // or the next call of this thread would report it again
  const Code code = error == cudaErrorMemoryAllocation ? Code::kUnavailable : Code::kInternal;
  return {code, std::string(what) + ": " + cudaGetErrorString(error)};
}

// Whether there is such a GPU: kUnsupported where there is none at all, kInvalidArgument for another number.
inline Status check_gpu(int device) {
  if (std::string absence = gpu_absence(); !absence.empty()) {
    return {Code::kUnsupported, "GPUs not supported: " + absence};
  }
  if (const int count = gpu_count(); device < 0 || device >= count) {
    return {Code::kInvalidArgument,
            "there is no GPU " + std::to_string(device) + ": this machine has " + std::to_string(count)};
  }
  return {};
}

// Makes a GPU the current one of this thread until it ends.
class CurrentDevice {
 public:
  explicit CurrentDevice(int device) {
    if (cudaGetDevice(&before_) != cudaSuccess) before_ = device;
    error_ = before_ == device ? cudaSuccess : cudaSetDevice(device);
    changed_ = before_ != device && error_ == cudaSuccess;
  }
  ~CurrentDevice() {
    if (changed_) static_cast<void>(cudaSetDevice(before_));
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int before_ = 0;
  bool changed_ = false;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace naiad
