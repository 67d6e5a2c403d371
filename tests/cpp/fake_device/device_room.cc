#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "fake_device/fake_gpus.h"
#include "memory/gpu.h"
#include "memory/gpu_memory.h"
#include "memory/host_pinning.h"

// What csrc/cuda and csrc/no_cuda implement, over FakeGpus.
namespace naiad {

using test::FakeGpus;

Status open_gpu(int device, std::shared_ptr<Gpu>& gpu) {
  if (Status status = test::check_gpu(device); !status.ok()) return status;
  gpu = FakeGpus::of_process().at(device);
  return {};
}

int gpu_count() {
  return FakeGpus::kCount;
}

std::string gpu_absence() {
  return "";
}

namespace {

struct Pinned {
  std::mutex mutex;
  std::map<void*, std::size_t> ranges;
};

Pinned& pinned() {
  static Pinned all;
  return all;
}

}  // namespace

Status pin_host_memory(void* data, std::size_t size_bytes) {
  const std::lock_guard lock(pinned().mutex);
  pinned().ranges[data] = size_bytes;
  FakeGpus::of_process().pinned_bytes += size_bytes;
  return {};
}

void unpin_host_memory(void* data) {
  const std::lock_guard lock(pinned().mutex);
  const auto found = pinned().ranges.find(data);
  if (found == pinned().ranges.end()) return;
  FakeGpus::of_process().pinned_bytes -= found->second;
  pinned().ranges.erase(found);
}

namespace {

// Shared memory of another process stands for what that has on a GPU: the handle is its name, padded.
class SharedObject final : public GpuMemory {
 public:
  SharedObject(std::byte* start, std::size_t size_bytes, test::FakeGpu& gpu)
      : start_(start), size_bytes_(size_bytes), gpu_(gpu) {
    gpu_.adopt(start_, size_bytes_);
  }
  ~SharedObject() override {
    gpu_.disown(start_);
    static_cast<void>(::munmap(start_, size_bytes_));
  }

  std::uint64_t size_bytes() const override { return size_bytes_; }
  const std::byte* data() const override { return start_; }
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const override {
    std::memcpy(into.data(), start_ + at_bytes, into.size());
    return {};
  }
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const override {
    // What comes from a GPU must have been waited for.
    for (int device = 0; device < FakeGpus::kCount; ++device) {
      FakeGpus::of_process().at(device)->host_uses(bytes.data(), bytes.size());
    }
    std::memcpy(start_ + at_bytes, bytes.data(), bytes.size());
    return {};
  }

 private:
  std::byte* const start_;
  const std::size_t size_bytes_;
  test::FakeGpu& gpu_;
};

}  // namespace

Status open_gpu_memory(const GpuMemoryHandle& handle, int device, std::unique_ptr<const GpuMemory>& memory) {
  if (Status status = test::check_gpu(device); !status.ok()) return status;
  std::string name(reinterpret_cast<const char*>(handle.data()), handle.size());
  name.resize(std::strlen(name.c_str()));
  const Status refused(Code::kInvalidArgument, "failed to open CUDA IPC handle: invalid argument");
  const int file = ::shm_open(name.c_str(), O_RDWR, 0);
  if (file < 0) return refused;
  struct stat facts{};
  const bool is_known = ::fstat(file, &facts) == 0 && facts.st_size > 0;
  const auto size_bytes = static_cast<std::size_t>(facts.st_size);
  void* const start =
      is_known ? ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  static_cast<void>(::close(file));
  if (start == MAP_FAILED) return refused;
  memory = std::make_unique<SharedObject>(static_cast<std::byte*>(start), size_bytes,
                                          *FakeGpus::of_process().at(device));
  return {};
}

}  // namespace naiad
