#include "fakes/fake_gpu.h"

#include <doctest/doctest.h>

#include <vector>

#include "fakes/gpu_contract.h"
#include "fakes/gpu_kit.h"
#include "fakes/heap_pool.h"

// The stand-in for a GPU must see what a GPU would punish only now and then.

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::size_t kBytes = 1 << 20;

struct Bench {
  // What is copied outlives the copies that are queued.
  std::vector<std::byte> host = std::vector<std::byte>(kBytes, std::byte{7});
  std::vector<std::byte> back = std::vector<std::byte>(kBytes);
  FakeGpu gpu;
  std::unique_ptr<GpuStream> in = stream_of(gpu);
  std::unique_ptr<GpuStream> other = stream_of(gpu);
  std::unique_ptr<GpuEvent> event = event_of(gpu);
  std::unique_ptr<GpuAllocation> there = allocation_of(gpu, kBytes);

  std::span<const std::byte> on_gpu() const { return {there->data(), kBytes}; }
};

}  // namespace

TEST_CASE("fake GPU: bytes come there and back when the end of the copies was waited for") {
  Bench bench;
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.in->copy_to_host(bench.back, bench.there->data()).ok());
  CHECK(bench.event->record(*bench.in).ok());
  bool is_reached = true;
  CHECK(bench.event->query(is_reached).ok());
  CHECK_FALSE(is_reached);
  CHECK(bench.back != bench.host);  // not yet
  CHECK(bench.event->wait().ok());
  bench.gpu.host_uses(bench.back.data(), kBytes);
  CHECK(bench.back == bench.host);
  CHECK(bench.gpu.faults() == "");
}

TEST_CASE("fake GPU: to read what no wait has made ready is a fault, also where the bytes are there") {
  Bench bench;
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  SUBCASE("by another stream") {
    CHECK(bench.other->copy_to_host(bench.back, bench.there->data()).ok());
  }
  SUBCASE("by another stream that waits for an event of before") {
    CHECK(bench.event->record(*bench.other).ok());
    CHECK(bench.other->wait(*bench.event).ok());
    CHECK(bench.other->copy_to_host(bench.back, bench.there->data()).ok());
  }
  SUBCASE("by the host") {
    CHECK(bench.in->copy_to_host(bench.back, bench.there->data()).ok());
    bench.gpu.work_off();
    bench.gpu.host_uses(bench.back.data(), 1);
  }
  SUBCASE("a write over what is still read") {
    CHECK(bench.other->copy_to_gpu(bench.there->data(), bench.host).ok());
  }
  CHECK(bench.gpu.num_faults() == 1);
}

TEST_CASE("fake GPU: a stream that waits for the right event is in order") {
  Bench bench;
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.event->record(*bench.in).ok());
  CHECK(bench.other->wait(*bench.event).ok());
  CHECK(bench.other->copy_to_host(bench.back, bench.there->data()).ok());
  CHECK(bench.event->record(*bench.other).ok());
  CHECK(bench.event->wait().ok());
  CHECK(bench.back == bench.host);
  CHECK(bench.gpu.faults() == "");
}

TEST_CASE("fake GPU: engines work side by side, each does one thing at a time") {
  Bench bench;
  const auto& rates = bench.gpu.rates();
  const auto copy_ns = rates.copy_ns + static_cast<std::uint64_t>(kBytes / rates.bus_bytes_per_ns);
  auto& stream = static_cast<FakeStream&>(*bench.other);
  CHECK(stream.compute(10 * copy_ns, {}, {}, [] {}).ok());
  for (int i = 0; i < 4; ++i) CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.gpu.end_ns() == 10 * copy_ns);
  CHECK(bench.in->copy_to_host(bench.back, bench.there->data()).ok());
  CHECK(bench.gpu.end_ns() == 10 * copy_ns);
  CHECK(stream.compute(copy_ns, {}, {}, [] {}).ok());
  CHECK(bench.gpu.end_ns() == 11 * copy_ns);
  CHECK(bench.gpu.faults() == "");
}

TEST_CASE("fake GPU: memory of the other side, and memory of nobody, are faults") {
  Bench bench;
  CHECK(bench.in->copy_to_gpu(bench.back.data(), bench.host).ok());
  CHECK(bench.in->copy_to_host(bench.back, bench.host.data()).ok());
  CHECK(bench.gpu.num_faults() == 2);
}

TEST_CASE("fake GPU: a captured graph is done as often as it is launched, and not before") {
  Bench bench;
  REQUIRE(bench.in->begin_capture().ok());
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.in->copy_to_host(bench.back, bench.there->data()).ok());
  CHECK(bench.event->record(*bench.in).code() == Code::kUnavailable);
  std::unique_ptr<GpuGraph> graph;
  REQUIRE(bench.in->end_capture(graph).ok());
  bench.gpu.work_off();
  CHECK(bench.back != bench.host);
  for (int i = 0; i < 2; ++i) {
    std::ranges::fill(bench.host, std::byte(i));
    REQUIRE(bench.in->launch(*graph).ok());
    CHECK(bench.event->record(*bench.in).ok());
    CHECK(bench.event->wait().ok());
    CHECK(bench.back == bench.host);
  }
  CHECK(bench.gpu.faults() == "");
}

TEST_CASE("fake GPU: a failure of work is found by who waits, and all that follows fails with it") {
  Bench bench;
  bench.gpu.fail_work(1);
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.event->record(*bench.in).ok());
  CHECK(bench.event->wait().code() == Code::kInternal);
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).code() == Code::kInternal);
  bench.gpu.heal();
  CHECK(bench.in->copy_to_gpu(bench.there->data(), bench.host).code() == Code::kInternal);
  CHECK(bench.event->wait().code() == Code::kInternal);
  std::unique_ptr<GpuStream> stream;
  CHECK(bench.gpu.make_stream(StreamPriority::kDefault, stream).ok());
  CHECK(stream->copy_to_gpu(bench.there->data(), bench.host).ok());
  CHECK(bench.event->record(*stream).ok());
  CHECK(bench.event->wait().ok());
}

TEST_CASE("fake GPU: it keeps the contract that the real one is held to") {
  FakeGpu gpu;
  HeapPool host;
  check_contract(gpu, host, 1);
  CHECK(gpu.faults() == "");
  CHECK(gpu.allocated_bytes() == 0);
}
