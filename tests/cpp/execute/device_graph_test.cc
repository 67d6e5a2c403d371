#include <doctest/doctest.h>

#include <map>
#include <random>

#include "device_kit.h"
#include "execute/batch_graph.h"
#include "execute/device_lane.h"
#include "fakes/fake_network.h"
#include "fakes/gpu_kit.h"

// Batches whose shapes come again are replayed: with the right bytes, without a call of the backend, and
// never at the cost of an answer.

using namespace naiad;
using namespace naiad::test;

namespace {

// A model whose batches are run one at a time by one slot.
struct Scene {
  explicit Scene(NetworkScript given = {}, std::size_t limit_bytes = 0, bool graphs = true) {
    ModelSpec spec = network_model(8);
    spec.device.graphs = graphs;
    model = std::make_shared<const ModelSpec>(std::move(spec));
    given.captured = true;
    given.before = [this, before = std::move(given.before)](DeviceBatch& batch) {
      ++num_calls;
      if (before) before(batch);
    };
    network = std::make_unique<FakeNetwork>(std::make_shared<const NetworkScript>(std::move(given)));
    budget = std::make_shared<DeviceBudget>("model 'm'", limit_bytes);
    lane = std::make_unique<DeviceLane>(DeviceStreams::make(memory, budget, StreamPriority::kDefault), 1);
  }

  std::unique_ptr<Request> request(std::int64_t rows, std::int64_t width, float value) {
    const auto count = static_cast<std::size_t>(rows * width);
    const BufferRef buffer = make_heap_buffer(count * 4);
    const std::vector<float> values(count, value);
    if (count != 0) std::memcpy(buffer->data(), values.data(), count * 4);
    auto made = std::make_unique<Request>();
    made->spec = model;
    made->wanted = {true};
    made->num_rows = static_cast<std::uint32_t>(rows);
    made->inputs.push_back({DataType::kFp32, Shape{rows, width}, buffer->data(), count * 4, buffer});
    made->sink = &sink;
    return made;
  }
  // One request as a batch; what comes of it.
  Status run(std::int64_t rows, std::int64_t width, float value, bool stays = false) {
    std::vector<std::unique_ptr<Request>> requests;
    requests.push_back(request(rows, width, value));
    if (stays) requests[0]->stays_on_gpu = {true};
    Execution execution(*model, std::move(requests), host, clock);
    lane->run_alone(*network, execution);
    const Response& response = execution.response(0);
    const Status status = response.status;
    if (status.ok()) {
      const Tensor& tensor = response.outputs.at(0).tensor;
      gpu->host_uses(tensor.data, tensor.size_bytes);
      CHECK(tensor.is_on_gpu() == stays);
      CHECK(values_of(tensor) == std::vector<float>(static_cast<std::size_t>(rows * width), value + 1));
      if (stays) left.push_back(tensor);
    }
    execution.complete();
    CHECK(gpu->faults() == "");
    return status;
  }

  std::shared_ptr<FakeGpu> gpu = std::make_shared<FakeGpu>();
  DevicePool memory{gpu};
  std::shared_ptr<DeviceBudget> budget;
  HeapPool host;
  SteadyClock clock;
  RecordingSink sink;
  std::size_t num_calls = 0;
  std::shared_ptr<const ModelSpec> model;
  std::vector<Tensor> left;
  std::unique_ptr<FakeNetwork> network;
  std::unique_ptr<DeviceLane> lane;
};

}  // namespace

TEST_CASE(
    "device graphs: a shape that comes again is captured with its second batch, and replayed from the "
    "third") {
  Scene scene;
  for (int i = 0; i < 10; ++i) CHECK(scene.run(3, 100, static_cast<float>(i)).ok());
  CHECK(scene.num_calls == 3);  // one for the first batch, two for the second
  CHECK(scene.gpu->num_graph_launches() == 8);
  CHECK(scene.gpu->num_launches() == 2);
  // Another one is captured beside it.
  for (int i = 0; i < 5; ++i) {
    CHECK(scene.run(2, 100, static_cast<float>(i)).ok());
    CHECK(scene.run(3, 100, static_cast<float>(-i)).ok());
    CHECK(scene.run(3, 50, static_cast<float>(i)).ok());
  }
  CHECK(scene.num_calls == 9);
  scene.lane.reset();
  CHECK(scene.memory.usage().used_bytes == 0);
  CHECK(scene.gpu->num_streams() == 0);
}

TEST_CASE("device graphs: none where the model does not want them") {
  Scene scene({}, 0, false);
  for (int i = 0; i < 5; ++i) CHECK(scene.run(3, 100, 1).ok());
  CHECK(scene.num_calls == 5);
  CHECK(scene.gpu->num_graph_launches() == 0);
}

TEST_CASE("device graphs: what stays on the GPU is not written over by later replays") {
  Scene scene;
  for (int i = 0; i < 6; ++i) CHECK(scene.run(2, 64, static_cast<float>(i), true).ok());
  CHECK(scene.gpu->num_graph_launches() == 4);
  CHECK(scene.gpu->num_copies_to_host() == 0);
  for (std::size_t i = 0; i < scene.left.size(); ++i) {
    CHECK(values_of(scene.left[i]) == std::vector<float>(128, static_cast<float>(i + 1)));
  }
  scene.left.clear();
}

TEST_CASE("device graphs: memory of graphs is bounded, and batches beyond it are run as they are") {
  // An eighth of the limit is 8 KiB: one shape of 4 KiB in and out.
  Scene scene({}, 64 << 10);
  for (int i = 0; i < 4; ++i) CHECK(scene.run(1, 1000, static_cast<float>(i)).ok());
  CHECK(scene.gpu->num_graph_launches() == 2);
  for (int i = 0; i < 4; ++i) CHECK(scene.run(1, 900, static_cast<float>(i)).ok());
  CHECK(scene.gpu->num_graph_launches() == 2);
  CHECK(scene.num_calls == 3 + 4);
  CHECK(scene.run(1, 1000, 7).ok());
  CHECK(scene.gpu->num_graph_launches() == 3);
  CHECK(scene.budget->used_bytes() <= std::size_t{16} << 10);
}

TEST_CASE("device graphs: so many shapes are looked at and no more") {
  Scene scene;
  for (int round = 0; round < 3; ++round) {
    for (std::int64_t width = 1; width <= 80; ++width) CHECK(scene.run(1, width, 1).ok());
  }
  CHECK(scene.gpu->num_graph_launches() == BatchGraphs::kMaxShapes);
}

TEST_CASE("device graphs: a capture that fails costs no answer, and is not tried again") {
  for (const bool in_backend : {false, true}) {
    NetworkScript script;
    std::size_t calls = 0;
    if (in_backend) {
      script.before = [&calls](DeviceBatch&) {
        if (++calls == 3) throw Error(Code::kInternal, "not while it is captured");
      };
    } else {
      // Asks for something else each time.
      script.before = [&calls](DeviceBatch& batch) { static_cast<void>(batch.allocate(1000 + ++calls)); };
    }
    Scene scene(std::move(script));
    for (int i = 0; i < 5; ++i) CHECK(scene.run(3, 100, static_cast<float>(i)).ok());
    CHECK(scene.gpu->num_graph_launches() == 0);
    CHECK(scene.num_calls == 6);
  }
}

TEST_CASE("device graphs: whichever call fails, a batch is right or has an error, and later ones are right") {
  std::size_t num_right = 0;
  std::size_t num_failed = 0;
  for (std::size_t call = 1; call <= 60; ++call) {
    Scene scene;
    CHECK(scene.run(2, 32, 1).ok());
    scene.gpu->fail_call(call);
    bool is_broken = false;
    for (int i = 0; i < 4; ++i) {
      const Status status = scene.run(2, 32, static_cast<float>(i));
      if (!status.ok()) is_broken = true;  // the instance is made anew
      status.ok() ? ++num_right : ++num_failed;
      if (is_broken) break;
    }
    CHECK(scene.gpu->faults() == "");
    scene.gpu->heal();
  }
  CHECK(num_right > 0);
  CHECK(num_failed > 0);
}

TEST_CASE("device graphs: random shapes through two slots, as without graphs") {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Scene scene;
    scene.lane = std::make_unique<DeviceLane>(
        DeviceStreams::make(scene.memory, scene.budget, StreamPriority::kDefault), 2);
    std::vector<std::pair<float, Response>> ended;
    scene.lane->begin(
        *scene.network, "m",
        [&](Execution& execution) {
          const float value = static_cast<float>(execution.request(0).tag);
          Response copy;
          copy.status = execution.response(0).status;
          copy.outputs = execution.response(0).outputs;
          ended.emplace_back(value, std::move(copy));
          execution.complete();
        },
        [] {});
    for (std::uint64_t i = 0; i < 60; ++i) {
      std::vector<std::unique_ptr<Request>> requests;
      requests.push_back(scene.request(1 + static_cast<std::int64_t>(random() % 3),
                                       1 + static_cast<std::int64_t>(random() % 2), static_cast<float>(i)));
      requests[0]->tag = i;
      scene.lane->wait_free();
      scene.lane->run(
          std::make_unique<Execution>(*scene.model, std::move(requests), scene.host, scene.clock));
    }
    scene.lane->end();
    REQUIRE(ended.size() == 60);
    for (const auto& [value, response] : ended) {
      REQUIRE(response.status.ok());
      for (const float each : values_of(response.outputs.at(0).tensor)) CHECK(each == value + 1);
    }
    CHECK(scene.gpu->num_graph_launches() > 10);
    CHECK(scene.gpu->faults() == "");
    ended.clear();
  }
}
