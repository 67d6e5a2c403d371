#include "fake_device/fake_gpus.h"

#include <string>

namespace naiad::test {

FakeGpus::FakeGpus() {
  for (int device = 0; device < kCount; ++device) {
    gpus_.at(static_cast<std::size_t>(device)) = std::make_shared<FakeGpu>(device, kMemoryBytes);
  }
}

FakeGpus& FakeGpus::of_process() {
  static FakeGpus gpus;
  return gpus;
}

Status check_gpu(int device) {
  if (device >= 0 && device < FakeGpus::kCount) return {};
  return {Code::kInvalidArgument, "there is no GPU " + std::to_string(device) + ": this machine has " +
                                      std::to_string(FakeGpus::kCount)};
}

}  // namespace naiad::test
