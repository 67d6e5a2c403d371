#include "memory/gpu.h"

#include <doctest/doctest.h>

#include <random>

#include "fakes/gpu_contract.h"
#include "memory/gpus.h"
#include "memory/host_pinning.h"
#include "memory/tensor_pool.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::size_t kPoolBytes = std::size_t{256} << 20;

// Whether the test can run here; says why not.
bool has_gpu() {
  if (gpu_count() != 0) return true;
  MESSAGE("not run: " << gpu_absence());
  return false;
}

}  // namespace

TEST_CASE("every GPU keeps the contract, on fresh random data") {
  if (!has_gpu()) return;
  const auto host = make_arena_pool(kPoolBytes, kPoolBytes);
  std::random_device fresh;
  for (int device = 0; device < gpu_count(); ++device) {
    std::shared_ptr<Gpu> gpu;
    const Status status = open_gpu(device, gpu);
    REQUIRE_MESSAGE(status.ok(), status.message());
    CHECK(gpu->device() == device);
    CHECK(gpu->facts().memory_bytes > 0);
    check_contract(*gpu, *host, fresh());
  }
  CHECK(host->usage().pinned_bytes > 0);
}

TEST_CASE("bytes go from GPU to GPU") {
  if (!has_gpu()) return;
  if (gpu_count() < 2) {
    MESSAGE("not run: there is one GPU here");
    return;
  }
  Gpus gpus;
  Gpu& near = gpus.pool(0).gpu();
  Gpu& far = gpus.pool(1).gpu();
  constexpr std::size_t kBytes = 1'000'003;
  std::vector<std::byte> bytes(kBytes, std::byte{0x5A});
  const auto there = allocation_of(far, kBytes);
  const auto here = allocation_of(near, kBytes);
  const auto far_stream = stream_of(far);
  const auto near_stream = stream_of(near);
  REQUIRE(far_stream->copy_to_gpu(there->data(), bytes).ok());
  REQUIRE(far_stream->drain().ok());
  REQUIRE(near_stream->copy_from_peer(here->data(), 1, {there->data(), kBytes}).ok());
  std::vector<std::byte> back(kBytes);
  REQUIRE(near_stream->copy_to_host(back, here->data()).ok());
  REQUIRE(near_stream->drain().ok());
  CHECK(back == bytes);
}

TEST_CASE("a thousand times streams and memory taken and given back leave no trace") {
  if (!has_gpu()) return;
  Gpus gpus;
  DevicePool& pool = gpus.pool(0);
  const auto cycle = [&] {
    const DevicePool::Stream stream = stream_of(pool.gpu());
    const auto budget = std::make_shared<DeviceBudget>("model 'm'");
    for (const std::size_t size_bytes : {std::size_t{1} << 20, std::size_t{600'000}, std::size_t{4096}}) {
      BufferRef block;
      REQUIRE(pool.allocate(size_bytes, stream, budget, block).ok());
    }
    REQUIRE(stream->drain().ok());
    pool.let_go(stream);
    pool.trim();
  };
  cycle();
  GpuMemoryUse before;
  REQUIRE(pool.gpu().memory(before).ok());
  for (int i = 0; i < 1000; ++i) cycle();
  GpuMemoryUse after;
  REQUIRE(pool.gpu().memory(after).ok());
  CHECK(after.free_bytes + (std::size_t{16} << 20) >= before.free_bytes);
}

TEST_CASE("a GPU that is not there is refused") {
  std::shared_ptr<Gpu> gpu;
  const Status absent = open_gpu(1000, gpu);
  CHECK(absent.code() == (gpu_count() == 0 ? Code::kUnsupported : Code::kInvalidArgument));
  CHECK_FALSE(gpu);
}
