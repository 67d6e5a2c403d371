#include "memory/device_pool.h"

#include <doctest/doctest.h>

#include <random>
#include <thread>
#include <vector>

#include "fakes/fake_gpu.h"
#include "fakes/gpu_kit.h"
#include "fakes/seeds.h"
#include "memory/gpus.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Bench {
  explicit Bench(DevicePoolOptions options = {}, std::size_t memory_bytes = 64 * kMiB)
      : gpu(std::make_shared<FakeGpu>(0, memory_bytes)), pool(gpu, options) {}

  BufferRef take(std::size_t size_bytes, const DevicePool::Stream& stream) {
    BufferRef block;
    if (const Status status = pool.allocate(size_bytes, stream, budget, block); !status.ok()) {
      throw Error(status);
    }
    return block;
  }
  Status refusal(std::size_t size_bytes, const DevicePool::Budget& of) {
    BufferRef block;
    Status status = pool.allocate(size_bytes, one, of, block);
    CHECK_FALSE(block);
    return status;
  }

  std::shared_ptr<FakeGpu> gpu;
  DevicePool pool;
  DevicePool::Stream one = stream_of(*gpu);
  DevicePool::Stream two = stream_of(*gpu);
  DevicePool::Budget budget = std::make_shared<DeviceBudget>("model 'm'");
};

}  // namespace

TEST_CASE("device pool: a block that came back serves its own stream at once") {
  std::vector<std::byte> host(1000);
  Bench bench;
  BufferRef block = bench.take(1000, bench.one);
  CHECK(block->device() == Device{DeviceKind::kGpu, 0});
  CHECK(block->size_bytes() == 1000);
  std::byte* const data = block->data();
  CHECK(bench.one->copy_to_gpu(data, host).ok());
  block = {};  // while the copy is still queued
  block = bench.take(1001, bench.one);
  CHECK(block->data() == data);
  CHECK(bench.one->copy_to_gpu(data, host).ok());
  CHECK(bench.gpu->faults() == "");
  CHECK(bench.gpu->num_allocations() == 1);
}

TEST_CASE("device pool: another stream gets a block only when what used it is done") {
  std::vector<std::byte> host(1000);
  Bench bench;
  BufferRef block = bench.take(1000, bench.one);
  std::byte* const data = block->data();
  CHECK(bench.one->copy_to_gpu(data, host).ok());
  block = {};
  BufferRef second = bench.take(1000, bench.two);
  CHECK(second->data() != data);
  bench.gpu->work_off();
  BufferRef third = bench.take(1000, bench.two);
  CHECK(third->data() == data);
  CHECK(bench.two->copy_to_gpu(data, host).ok());
  CHECK(bench.gpu->faults() == "");
}

TEST_CASE("device pool: a stream that is let go leaves its blocks to all") {
  Bench bench;
  BufferRef block = bench.take(1000, bench.one);
  std::byte* const data = block->data();
  block = {};
  bench.pool.let_go(bench.one);
  CHECK(bench.take(1000, bench.two)->data() == data);
}

TEST_CASE(
    "device pool: a block that comes back when its stream has been let go is anybody's, and can be freed") {
  Bench bench;
  BufferRef block = bench.take(1000, bench.one);
  std::byte* const data = block->data();
  bench.pool.let_go(bench.one);
  bench.one.reset();
  bench.gpu->fail_call(1, true);  // no event could be recorded any more
  CHECK_FALSE(bench.two->copy_within(data, {data, 1}).ok());
  block = {};
  bench.gpu->heal();
  CHECK(bench.take(1000, bench.two)->data() == data);
  bench.pool.let_go(bench.two);
  bench.pool.trim();
  CHECK(bench.gpu->allocated_bytes() == 0);
}

TEST_CASE("device pool: what is left on the GPU is counted, up to a bound") {
  DeviceBudget budget("model 'm'");
  CHECK(budget.try_leave(60, 100));
  CHECK_FALSE(budget.try_leave(41, 100));
  CHECK(budget.try_leave(40, 100));
  budget.taken_up(60);
  CHECK(budget.left_bytes() == 40);
}

TEST_CASE("device pool: a block let go of while its stream captures stays with that stream") {
  Bench bench;
  BufferRef block = bench.take(1000, bench.one);
  std::byte* const data = block->data();
  CHECK(bench.one->begin_capture().ok());
  block = {};
  bench.gpu->work_off();
  const BufferRef of_other = bench.take(1000, bench.two);
  CHECK(of_other->data() != data);
  CHECK(bench.take(1000, bench.one)->data() == data);
}

TEST_CASE("device pool: a budget is kept, and its refusal says the numbers") {
  Bench bench;
  const auto small = std::make_shared<DeviceBudget>("model 'small'", 10 * kMiB);
  BufferRef block;
  REQUIRE(bench.pool.allocate(8 * kMiB, bench.one, small, block).ok());
  CHECK(small->used_bytes() == 8 * kMiB);
  const Status status = bench.refusal(4 * kMiB, small);
  CHECK(status.code() == Code::kUnavailable);
  CHECK(
      status.message() ==
      "model 'small' cannot have 4.0 MiB more on GPU 0: it has 8.0 MiB of the 10.0 MiB that it may have, all "
      "models together 8.0 MiB; of the GPU's 64.0 MiB are 56.0 MiB free; try again later");
  block = {};
  CHECK(small->used_bytes() == 0);
  CHECK(small->peak_bytes() == 8 * kMiB);
  CHECK(bench.pool.allocate(10 * kMiB, bench.one, small, block).ok());
}

TEST_CASE("device pool: what is cached for one size goes when the device has none left for another") {
  Bench bench;
  {
    std::vector<BufferRef> blocks;
    for (int i = 0; i < 6; ++i) blocks.push_back(bench.take(10 * kMiB, bench.one));
  }
  CHECK(bench.pool.usage().cached_bytes == 60 * kMiB);
  const BufferRef large = bench.take(40 * kMiB, bench.one);
  CHECK(bench.pool.usage().used_bytes == 40 * kMiB);
  CHECK(bench.pool.usage().cached_bytes == 0);
  CHECK(bench.refusal(32 * kMiB, bench.budget).message().find("are 24.0 MiB free") != std::string::npos);
  CHECK(bench.refusal(std::size_t{1} << 60, bench.budget).code() == Code::kUnavailable);
}

TEST_CASE("device pool: its own limit holds for what is out and what is kept") {
  Bench bench({.limit_bytes = 16 * kMiB});
  BufferRef block = bench.take(8 * kMiB, bench.one);
  const Status status = bench.refusal(10 * kMiB, bench.budget);
  CHECK(status.message().find("all models together 8.0 MiB of 16.0 MiB") != std::string::npos);
  block = {};
  CHECK(bench.take(16 * kMiB, bench.one)->size_bytes() == 16 * kMiB);
}

TEST_CASE("device pool: trim keeps what it may, and leaves alone what is still used") {
  std::vector<std::byte> host(kMiB);
  Bench bench;
  {
    const BufferRef a = bench.take(8 * kMiB, bench.one);
    const BufferRef b = bench.take(2 * kMiB, bench.one);
    CHECK(bench.one->copy_to_gpu(a->data(), host).ok());
    CHECK(bench.one->copy_to_gpu(b->data(), host).ok());
  }
  bench.pool.trim(4 * kMiB);
  CHECK(bench.pool.usage().cached_bytes == 10 * kMiB);
  bench.gpu->work_off();
  bench.pool.trim(4 * kMiB);
  CHECK(bench.pool.usage().cached_bytes == 2 * kMiB);
  bench.pool.trim();
  CHECK(bench.gpu->allocated_bytes() == 0);
}

TEST_CASE("device pool: what lay free from one look to the next goes, down to what is kept") {
  Bench bench({.keep_bytes = 4 * kMiB});
  const auto use = [&](std::size_t size_bytes) { const BufferRef block = bench.take(size_bytes, bench.one); };
  {
    const BufferRef peak = bench.take(16 * kMiB, bench.one);
    use(8 * kMiB);
    use(2 * kMiB);
  }
  bench.gpu->work_off();
  bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == 26 * kMiB);  // all were in use a moment ago
  use(8 * kMiB);
  bench.gpu->work_off();
  bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == 8 * kMiB);  // that of the load that goes on
  bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == 0);
  use(2 * kMiB);
  bench.gpu->work_off();
  for (int i = 0; i < 3; ++i) bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == 2 * kMiB);
  CHECK(bench.gpu->allocated_bytes() == 2 * kMiB);
  CHECK(bench.gpu->num_waits_to_free() == 0);
}

TEST_CASE("device pool: what a stream may still use is not stale") {
  std::vector<std::byte> host(kMiB);
  Bench bench({.keep_bytes = 0});
  {
    const BufferRef block = bench.take(kMiB, bench.one);
    CHECK(bench.one->copy_to_gpu(block->data(), host).ok());
  }
  for (int i = 0; i < 3; ++i) bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == kMiB);
  bench.gpu->work_off();
  bench.pool.trim_stale();
  CHECK(bench.pool.usage().cached_bytes == 0);
}

TEST_CASE("device pool: a device that has failed is not taken for a full one") {
  Bench bench;
  bench.gpu->fail_call(1);
  CHECK(bench.refusal(1000, bench.budget).code() == Code::kInternal);
  CHECK(bench.pool.usage().used_bytes == 0);
  CHECK(bench.budget->used_bytes() == 0);
}

TEST_CASE("device pool: in a steady state nothing is allocated and nothing waits") {
  std::vector<std::byte> host(kMiB);
  Bench bench;
  std::size_t after_first = 0;
  for (int round = 0; round < 200; ++round) {
    for (const auto& stream : {bench.one, bench.two}) {
      const BufferRef in = bench.take(kMiB, stream);
      const BufferRef out = bench.take(kMiB / 2, stream);
      CHECK(stream->copy_to_gpu(in->data(), host).ok());
      CHECK(stream->copy_within(out->data(), {in->data(), kMiB / 2}).ok());
    }
    if (round == 0) after_first = bench.gpu->num_allocations();
  }
  CHECK(bench.gpu->num_allocations() == after_first);
  CHECK(bench.gpu->num_waits_to_free() == 0);
  CHECK(bench.gpu->faults() == "");
}

TEST_CASE("device pool: any order of streams, sizes and ends is free of faults, and all comes back") {
  const Seeds all = seeds(200);
  for (std::uint32_t seed = all.first; seed < all.end; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<std::byte> host(kMiB);
    Bench bench({}, 24 * kMiB);
    std::vector<BufferRef> out;
    for (int step = 0; step < 60; ++step) {
      if (!out.empty() && random() % 2 == 0) {
        const auto gone = out.begin() + static_cast<std::ptrdiff_t>(random() % out.size());
        out.erase(gone);
        continue;
      }
      const auto& stream = random() % 2 == 0 ? bench.one : bench.two;
      const std::size_t size_bytes = 1 + random() % (2 * kMiB);
      BufferRef block;
      if (!bench.pool.allocate(size_bytes, stream, bench.budget, block).ok()) continue;
      CHECK(stream->copy_to_gpu(block->data(), std::span(host).first(std::min(size_bytes, kMiB))).ok());
      out.push_back(std::move(block));
      if (random() % 8 == 0) bench.gpu->work_off();
      if (random() % 16 == 0) bench.pool.trim(random() % (8 * kMiB));
    }
    out.clear();
    CHECK(bench.pool.usage().used_bytes == 0);
    CHECK(bench.budget->used_bytes() == 0);
    CHECK(bench.pool.usage().cached_bytes == bench.gpu->allocated_bytes());
    bench.gpu->work_off();
    bench.pool.trim(0);
    CHECK(bench.gpu->allocated_bytes() == 0);
    CHECK(bench.gpu->faults() == "");
  }
}

TEST_CASE("device pool: threads that take and give leave the counts right") {
  Bench bench;
  {
    std::vector<std::jthread> threads;
    for (const auto& stream : {bench.one, bench.two}) {
      threads.emplace_back([&bench, stream] {
        for (int i = 0; i < 500; ++i) {
          BufferRef a = bench.take(1000, stream);
          const BufferRef b = bench.take(5000, stream);
          a = {};
          if (i % 100 == 0) bench.pool.trim(0);
        }
      });
    }
  }
  CHECK(bench.pool.usage().used_bytes == 0);
  bench.pool.let_go(bench.one);
  bench.pool.let_go(bench.two);
  bench.pool.trim(0);
  CHECK(bench.gpu->allocated_bytes() == 0);
}

TEST_CASE("gpus: each is opened once, when it is first asked for") {
  int num_opened = 0;
  Gpus gpus([&](int device, std::shared_ptr<Gpu>& gpu) -> Status {
    if (device > 1) return {Code::kInvalidArgument, "there is no GPU 2"};
    ++num_opened;
    gpu = std::make_shared<FakeGpu>(device);
    return {};
  });
  DevicePool& pool = gpus.pool(1);
  CHECK(&gpus.pool(1) == &pool);
  CHECK(&gpus.pool(0) != &pool);
  CHECK(pool.gpu().device() == 1);
  CHECK(num_opened == 2);
  CHECK_THROWS_WITH(gpus.pool(2), "there is no GPU 2");
  CHECK_THROWS_WITH(gpus.pool(2), "there is no GPU 2");
  gpus.trim();
}

TEST_CASE("gpus: where models run the pool keeps what its options say, elsewhere nothing") {
  const DevicePoolOptions small{.keep_bytes = kMiB};
  Gpus gpus(
      [](int device, std::shared_ptr<Gpu>& gpu) -> Status {
        gpu = std::make_shared<FakeGpu>(device);
        return {};
      },
      {}, {{1, small}});
  const auto budget = std::make_shared<DeviceBudget>("model 'm'");
  CHECK(gpus.pool(0).options().keep_bytes == 64 * kMiB);
  CHECK(gpus.pool(1).options().keep_bytes == kMiB);
  for (DevicePool* const pool : gpus.pools()) {
    const DevicePool::Stream stream = stream_of(pool->gpu());
    for (const std::size_t size_bytes : {std::size_t{4096}, 2 * kMiB}) {
      BufferRef block;
      REQUIRE(pool->allocate(size_bytes, stream, budget, block).ok());
    }
    pool->let_go(stream);
  }
  gpus.trim({0, 1});
  CHECK(gpus.pool(0).usage().cached_bytes == 2 * kMiB + 4096);
  CHECK(gpus.pool(1).usage().cached_bytes == 4096);
  gpus.trim({1});
  CHECK(gpus.pool(0).usage().cached_bytes == 0);
  CHECK(gpus.pool(1).usage().cached_bytes == 4096);
  gpus.trim();
  CHECK(gpus.pool(1).usage().cached_bytes == 0);
}
