// Memory that another process has allocated on a GPU. The other process is this program again: CUDA does not
// open a handle in the process that made it.
#include "memory/gpu_memory.h"

#include <cuda_runtime_api.h>
#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "memory/host_pinning.h"

namespace naiad {
namespace {

constexpr std::size_t kSizeBytes = 1 << 20;
constexpr const char* kExporter = "allocates on GPU 0 and hands out its handle";

// Runs the case kExporter of this program with its standard input and output as pipes.
class Exporter {
 public:
  Exporter() {
    std::array<int, 2> to{};
    std::array<int, 2> from{};
    REQUIRE(pipe(to.data()) == 0);
    REQUIRE(pipe(from.data()) == 0);
    posix_spawn_file_actions_t actions;
    REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, to[1]);
    posix_spawn_file_actions_addclose(&actions, from[0]);
    std::string program = "test_cuda";
    std::string chosen = std::string("--test-case=") + kExporter;
    std::string skipped_too = "--no-skip";
    std::array<char*, 4> arguments{program.data(), chosen.data(), skipped_too.data(), nullptr};
    REQUIRE(posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    in_ = to[1];
    out_ = from[0];
  }
  ~Exporter() {
    close(in_);  // which ends it
    close(out_);
    waitpid(process_, nullptr, 0);
  }
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  GpuMemoryHandle handle() const {
    GpuMemoryHandle handle{};
    std::size_t at = 0;
    while (at < handle.size()) {
      const ssize_t count = ::read(out_, handle.data() + at, handle.size() - at);
      REQUIRE(count > 0);
      at += static_cast<std::size_t>(count);
    }
    return handle;
  }

 private:
  pid_t process_ = 0;
  int in_ = -1;
  int out_ = -1;
};

}  // namespace

TEST_CASE("allocates on GPU 0 and hands out its handle" * doctest::skip()) {
  void* start = nullptr;
  REQUIRE(cudaMalloc(&start, kSizeBytes) == cudaSuccess);
  REQUIRE(cudaMemset(start, 0x5A, kSizeBytes) == cudaSuccess);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  cudaIpcMemHandle_t handle;
  REQUIRE(cudaIpcGetMemHandle(&handle, start) == cudaSuccess);
  REQUIRE(::write(STDOUT_FILENO, &handle, sizeof handle) == sizeof handle);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  cudaFree(start);
}

TEST_CASE("memory of another process is read and written") {
  if (gpu_count() == 0) {
    MESSAGE("not run: " << gpu_absence());
    return;
  }
  const Exporter exporter;
  std::unique_ptr<const GpuMemory> memory;
  const Status status = open_gpu_memory(exporter.handle(), 0, memory);
  REQUIRE_MESSAGE(status.ok(), status.message());
  CHECK(memory->size_bytes() >= kSizeBytes);
  std::vector<std::byte> bytes(kSizeBytes);
  REQUIRE(memory->read(0, bytes).ok());
  CHECK(bytes.front() == std::byte{0x5A});
  CHECK(bytes.back() == std::byte{0x5A});
  const std::vector<std::byte> given(100, std::byte{0x11});
  REQUIRE(memory->write(1000, given).ok());
  REQUIRE(memory->read(0, bytes).ok());
  CHECK(bytes[999] == std::byte{0x5A});
  CHECK(bytes[1000] == std::byte{0x11});
  CHECK(bytes[1099] == std::byte{0x11});
  CHECK(bytes[1100] == std::byte{0x5A});

  // From the GPU itself, where kernels read it too.
  REQUIRE(memory->write(5000, {memory->data() + 1000, 100}).ok());
  REQUIRE(memory->read(0, bytes).ok());
  CHECK(bytes[4999] == std::byte{0x5A});
  CHECK(bytes[5000] == std::byte{0x11});
  CHECK(bytes[5099] == std::byte{0x11});
}

TEST_CASE("a handle that means nothing is refused, and so is a GPU that is not there") {
  std::unique_ptr<const GpuMemory> memory;
  const Status status = open_gpu_memory(GpuMemoryHandle{}, 0, memory);
  CHECK(status.code() == (gpu_count() == 0 ? Code::kUnsupported : Code::kInvalidArgument));
  CHECK(!memory);
  const Status absent = open_gpu_memory(GpuMemoryHandle{}, 1000, memory);
  CHECK(absent.code() == (gpu_count() == 0 ? Code::kUnsupported : Code::kInvalidArgument));
}

}  // namespace naiad
