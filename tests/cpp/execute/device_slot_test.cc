#include "execute/device_slot.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "device_kit.h"
#include "execute/device_lane.h"
#include "fakes/gpu_kit.h"

// One batch by itself: its way in, its way out, and what becomes of it where something fails.

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::size_t kRequests = 8;

struct Scene {
  explicit Scene(ModelSpec spec = network_model(kRequests), NetworkScript given = {})
      : model(std::make_shared<const ModelSpec>(std::move(spec))),
        network(std::make_shared<const NetworkScript>(std::move(given))) {}

  // A request of one row of `width` times the value, whose bytes are in `buffer`.
  void add(std::int64_t width, float value, BufferRef buffer) {
    const std::vector<float> values(static_cast<std::size_t>(width), value);
    if (width != 0) std::memcpy(buffer->data(), values.data(), values.size() * 4);
    auto request = std::make_unique<Request>();
    request->spec = model;
    request->wanted = {true};
    request->inputs.push_back({DataType::kFp32, Shape{1, width}, buffer->data(), values.size() * 4, buffer});
    request->sink = &sink;
    requests.push_back(std::move(request));
  }
  void add_all(std::int64_t width, bool in_pinned) {
    for (std::size_t i = 0; i < kRequests; ++i) {
      const auto size_bytes = static_cast<std::size_t>(width) * 4;
      add(width, static_cast<float>(i),
          in_pinned ? pinned_pool.try_allocate(size_bytes) : make_heap_buffer(size_bytes));
    }
  }
  // Bytes on a GPU, of a pool that every stream may use at once.
  BufferRef on_gpu(DevicePool& memory, std::size_t size_bytes) {
    BufferRef block;
    const DevicePool::Stream stream = stream_of(memory.gpu());
    REQUIRE(memory.allocate(size_bytes, stream, budget, block).ok());
    return block;
  }
  void run() {
    Execution execution(*model, std::move(requests), pinned ? static_cast<TensorPool&>(pinned_pool) : heap,
                        clock);
    lane.run_alone(network, execution);
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      const Response& response = execution.response(k);
      statuses.push_back(response.status);
      for (const OutputTensor& output : response.outputs) {
        gpu->host_uses(output.tensor.data, output.tensor.size_bytes);
        results.push_back(values_of(output.tensor));
      }
    }
    // The bytes of the requests are others' from here on.
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      for (const Tensor& tensor : execution.request(k).inputs) {
        gpu->host_uses(tensor.data, tensor.size_bytes, true);
      }
    }
    execution.complete();
    CHECK(gpu->faults() == "");
  }
  void check_results(std::int64_t width) {
    REQUIRE(results.size() == kRequests);
    for (std::size_t i = 0; i < kRequests; ++i) {
      CHECK(results[i] == std::vector<float>(static_cast<std::size_t>(width), static_cast<float>(i) + 1));
    }
  }

  std::shared_ptr<FakeGpu> gpu = std::make_shared<FakeGpu>();
  DevicePool pool{gpu};
  DevicePool::Budget budget = std::make_shared<DeviceBudget>("model 'm'");
  std::shared_ptr<const ModelSpec> model;
  FakeNetwork network;
  PinnedPool pinned_pool;
  HeapPool heap;
  bool pinned = true;
  SteadyClock clock;
  RecordingSink sink;
  DeviceLane lane{DeviceStreams::make(pool, budget, StreamPriority::kHigh), 2};
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<Status> statuses;
  std::vector<std::vector<float>> results;
};

ModelSpec gathering(std::size_t threshold) {
  ModelSpec model = network_model(kRequests);
  model.device.gather_threshold = threshold;
  return model;
}

}  // namespace

TEST_CASE("slot: large pinned pieces are copied as they lie") {
  Scene scene;
  scene.add_all(150'000, true);
  scene.run();
  scene.check_results(150'000);
  CHECK(scene.gpu->num_copies() == kRequests + 1);
  CHECK(scene.gpu->num_launches() == 1);
}

TEST_CASE("slot: small pieces, and those of pageable memory, are put together first") {
  for (const auto& [width, pinned] :
       {std::pair(1000, true), std::pair(1000, false), std::pair(150'000, false)}) {
    Scene scene;
    scene.pinned = pinned;
    scene.add_all(width, pinned);
    scene.run();
    scene.check_results(width);
    CHECK(scene.gpu->num_copies() == 2);
    CHECK(scene.gpu->num_launches() == 1);
  }
}

TEST_CASE("slot: from the threshold on a kernel gathers") {
  Scene scene(gathering(kRequests));
  scene.add_all(1000, true);
  scene.run();
  scene.check_results(1000);
  CHECK(scene.gpu->num_copies() == 1);
  CHECK(scene.gpu->num_launches() == 2);
  Scene few(gathering(kRequests + 1));
  few.add_all(1000, true);
  few.run();
  CHECK(few.gpu->num_launches() == 1);
}

TEST_CASE("slot: rows of one block that follow each other are one piece, which stays as it is on the GPU") {
  Scene scene;
  constexpr std::size_t kRowBytes = 400'000;
  BufferRef block = scene.pinned_pool.try_allocate(kRequests * kRowBytes);
  std::size_t num_copies = 2;
  SUBCASE("of the host") {}
  SUBCASE("of the GPU") {
    block = scene.on_gpu(scene.pool, kRequests * kRowBytes);
    num_copies = 1;
  }
  for (std::size_t i = 0; i < kRequests; ++i) {
    scene.add(kRowBytes / 4, static_cast<float>(i), block);
    Tensor& rows = scene.requests.back()->inputs[0];
    std::memmove(block->data() + i * kRowBytes, block->data(), kRowBytes);
    rows.data = block->data() + i * kRowBytes;
  }
  std::memset(block->data(), 0, kRowBytes);
  scene.run();
  scene.check_results(kRowBytes / 4);
  CHECK(scene.gpu->num_copies() == num_copies);
}

TEST_CASE("slot: what is on the GPU stays there: a single piece as it is, many within it") {
  for (const std::size_t threshold : {std::size_t{0}, kRequests}) {
    Scene scene(gathering(threshold));
    for (std::size_t i = 0; i < kRequests; ++i)
      scene.add(1000, static_cast<float>(i), scene.on_gpu(scene.pool, 4000));
    scene.run();
    scene.check_results(1000);
    CHECK(scene.gpu->num_copies() == (threshold == 0 ? kRequests + 1 : 1));
    CHECK(scene.gpu->num_launches() == (threshold == 0 ? 1 : 2));
  }
  Scene scene;
  scene.add(1000, 7, scene.on_gpu(scene.pool, 4000));
  scene.run();
  CHECK(scene.results.front() == std::vector<float>(1000, 8));
  CHECK(scene.gpu->num_copies() == 1);
}

TEST_CASE("slot: pieces of another GPU come over the bus") {
  const auto peer = std::make_shared<FakeGpu>(1);
  DevicePool pool(peer);
  Scene scene;
  for (std::size_t i = 0; i < kRequests; ++i) {
    const bool far = i % 2 == 0;
    scene.add(1000, static_cast<float>(i),
              far ? scene.on_gpu(pool, 4000) : scene.pinned_pool.try_allocate(4000));
  }
  scene.run();
  scene.check_results(1000);
  CHECK(scene.gpu->num_copies() == kRequests + 1);
  scene.requests.clear();
  scene.sink.homes().clear();
}

TEST_CASE("slot: empty rows need no copy") {
  Scene scene;
  scene.add_all(0, true);
  scene.run();
  scene.check_results(0);
  CHECK(scene.gpu->num_copies() == 0);
}

TEST_CASE("slot: an optional input that is absent stays so; text and shapes stay on the host") {
  ModelSpec model = network_model(kRequests);
  model.inputs.push_back({"T", DataType::kBytes, Shape{1}, {}, true, {}});
  model.inputs.push_back({"O", DataType::kFp32, Shape{1}, {}, true, {}});
  NetworkScript script;
  script.before = [](DeviceBatch& batch) {
    CHECK(batch.input(0).owner->device().kind == DeviceKind::kGpu);
    CHECK(batch.input(1).owner->device().kind == DeviceKind::kCpu);
    CHECK_FALSE(batch.input(2).present());
    CHECK(batch.gpu().device() == 0);
  };
  Scene scene(model, script);
  scene.add_all(10, true);
  for (const auto& request : scene.requests) {
    BufferRef text = make_heap_buffer(5);
    std::memcpy(text->data(), "\1\0\0\0a", 5);
    request->inputs.push_back({DataType::kBytes, Shape{1, 1}, text->data(), 5, text});
    request->inputs.emplace_back();
  }
  scene.run();
  scene.check_results(10);
}

TEST_CASE("slot: an output that is made on the host needs no way back") {
  NetworkScript script;
  Scene* here = nullptr;
  script.after = [&](DeviceBatch& batch) {
    BufferRef block = here->heap.try_allocate(kRequests * 4);
    std::memset(block->data(), 0, kRequests * 4);
    batch.output(0, {DataType::kFp32, Shape{kRequests, 1}, block->data(), kRequests * 4, block});
  };
  Scene scene(network_model(kRequests), script);
  here = &scene;
  scene.add_all(1, true);
  scene.run();
  CHECK(scene.results.size() == 2 * kRequests);
  CHECK(scene.results.back() == std::vector<float>{0});
}

TEST_CASE("slot: whatever call fails, the batch fails with it or goes well, and nothing is used too early") {
  for (const std::int64_t width : {1000, 20'000}) {  // through the host, and as they lie
    std::size_t num_failed = 0;
    for (std::size_t number = 1; number < 40; ++number) {
      CAPTURE(number);
      Scene scene;
      scene.add_all(width, true);
      scene.gpu->fail_call(number);
      scene.run();
      if (scene.statuses[0].ok()) {
        scene.check_results(width);
        continue;
      }
      ++num_failed;
      CHECK(scene.lane.failed());
      CHECK(scene.statuses.back().code() == Code::kInternal);
      CHECK(scene.statuses.back().message().find("the GPU failed to ") == 0);
      CHECK(scene.results.empty());
      CHECK(scene.pool.usage().used_bytes == 0);
    }
    CHECK(num_failed >= 10);
  }
}

TEST_CASE("slot: a budget that is spent fails the batch, not the GPU") {
  Scene scene;
  scene.budget = std::make_shared<DeviceBudget>("model 'm'", 5000);
  DeviceLane lane(DeviceStreams::make(scene.pool, scene.budget, StreamPriority::kDefault), 1);
  scene.add_all(1000, true);
  Execution execution(*scene.model, std::move(scene.requests), scene.pinned_pool, scene.clock);
  lane.run_alone(scene.network, execution);
  CHECK(execution.response(0).status.code() == Code::kUnavailable);
  CHECK(execution.response(0).status.message().find("model 'm' cannot have ") == 0);
  CHECK_FALSE(lane.failed());
  execution.complete();
}

TEST_CASE("slot: what a backend throws fails its batch alone, in whichever of its calls") {
  for (const int where : {0, 1, 2}) {
    NetworkScript script;
    const auto fail = [](DeviceBatch&) { throw Error(Code::kInvalidArgument, "not such a batch"); };
    (where == 0 ? script.before : where == 1 ? script.after : script.finished) = fail;
    Scene scene(network_model(kRequests), script);
    scene.add_all(10, true);
    scene.run();
    CHECK(scene.statuses.front().message() == "not such a batch");
    CHECK_FALSE(scene.lane.failed());
    CHECK(scene.pool.usage().used_bytes == 0);
  }
}
