#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

#include "base/error.h"
#include "fakes/fake_gpu.h"

namespace naiad::test {

// The two GPUs of a process that was linked with this room in place of csrc/cuda or csrc/no_cuda. Any thread.
class FakeGpus {
 public:
  static constexpr int kCount = 2;
  static constexpr std::size_t kMemoryBytes = std::size_t{256} << 20;

  // The device, as a process sees it, lives as long as that does.
  static FakeGpus& of_process();

  const std::shared_ptr<FakeGpu>& at(int device) { return gpus_.at(static_cast<std::size_t>(device)); }

  // Memory of the host that is pinned.
  std::atomic<std::size_t> pinned_bytes{0};

 private:
  FakeGpus();

  std::array<std::shared_ptr<FakeGpu>, kCount> gpus_;
};

// kInvalidArgument where there is no such GPU, in the words of csrc/cuda.
Status check_gpu(int device);

}  // namespace naiad::test
