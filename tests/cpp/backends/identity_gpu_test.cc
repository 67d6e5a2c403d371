#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "backends/identity.h"
#include "engine/engine.h"
#include "fakes/fake_gpu.h"
#include "fakes/gathered_answers.h"

// identity on a GPU, through the whole engine: the way of every model that runs on one.

using namespace naiad;
using namespace naiad::test;

namespace {

struct House {
  explicit House(bool absent = false) : is_absent(absent) {}

  void start(const ModelSpec& spec, std::size_t num_instances = 1) {
    std::vector<InstancePlan> plans;
    for (std::size_t i = 0; i < num_instances; ++i) {
      plans.push_back({"m_" + std::to_string(i), {DeviceKind::kGpu, static_cast<int>(i % 2)}, {}, false, {}});
    }
    engine.publish(spec.name, {engine.start(spec, make_identity_factory(), plans)});
  }

  bool is_absent;
  std::shared_ptr<FakeGpu> first = std::make_shared<FakeGpu>(0);
  std::shared_ptr<FakeGpu> second = std::make_shared<FakeGpu>(1);
  Engine engine{make_arena_pool(std::size_t{64} << 20),
                Engine::kInlineLimitNs,
                0,
                {},
                nullptr,
                std::make_unique<Gpus>([this](int device, std::shared_ptr<Gpu>& gpu) -> Status {
                  if (is_absent) return {Code::kUnsupported, "GPUs not supported: no GPU in this machine"};
                  gpu = device == 0 ? first : second;
                  return {};
                })};
};

ModelSpec identity_model() {
  ModelSpec spec;
  spec.name = std::string("m");
  spec.max_batch_size = 8;
  spec.batching.dynamic = true;
  spec.max_queue_size = 10'000;
  spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"Y", DataType::kFp32, Shape{-1}, {}, false, {}});
  return spec;
}

}  // namespace

TEST_CASE("identity on a GPU: what went in comes out, over both GPUs and whatever the sizes") {
  for (const std::size_t threshold : {std::size_t{0}, std::size_t{2}}) {
    House house;
    ModelSpec spec = identity_model();
    spec.device.gather_threshold = threshold;
    spec.device.priority = StreamPriority::kHigh;
    house.start(spec, 2);
    std::mt19937 random(7);
    GatheredAnswers answers;
    std::vector<std::vector<float>> given;
    for (int i = 0; i < 300; ++i) {
      const std::int64_t rows = 1 + static_cast<std::int64_t>(random() % 3);
      const std::int64_t width = i % 3 == 0 ? 20'000 : 16;
      std::vector<float> values(static_cast<std::size_t>(rows * width));
      for (float& value : values) value = static_cast<float>(random() % 1000);
      auto request = std::make_unique<Request>();
      request->model_name = "m";
      request->given_inputs.push_back({"X", floats(Shape{rows, width}, values)});
      request->sink = &answers;
      request->tag = static_cast<std::uint64_t>(i);
      REQUIRE(house.engine.submit(request).ok());
      given.push_back(std::move(values));
    }
    answers.wait(given.size());
    for (auto& [tag, response] : answers.all()) {
      REQUIRE(response.status.message() == "");
      CHECK(values_of(response.outputs.at(0).tensor) == given[tag]);
    }
    CHECK(house.first->num_copies() + house.second->num_copies() > 0);
    house.engine.close();
    CHECK(house.first->faults() + house.second->faults() == "");
  }
}

TEST_CASE("identity on a GPU: text stays on the host and comes back as it was") {
  House house;
  ModelSpec spec = identity_model();
  spec.inputs[0].dtype = spec.outputs[0].dtype = DataType::kBytes;
  house.start(spec);
  GatheredAnswers answers;
  BufferRef text = make_heap_buffer(7);
  std::memcpy(text->data(), "\3\0\0\0abc", 7);
  auto request = std::make_unique<Request>();
  request->model_name = "m";
  request->given_inputs.push_back({"X", {DataType::kBytes, Shape{1, 1}, text->data(), 7, text}});
  request->sink = &answers;
  REQUIRE(house.engine.submit(request).ok());
  answers.wait(1);
  const Response& response = answers.all().begin()->second;
  REQUIRE(response.status.ok());
  CHECK(std::memcmp(response.outputs[0].tensor.data, "\3\0\0\0abc", 7) == 0);
  CHECK(house.first->num_copies() == 0);
}

TEST_CASE("identity on a GPU: without one it is refused with one sentence") {
  House house(true);
  CHECK_THROWS_WITH(house.start(identity_model()),
                    "unable to load model 'm': GPUs not supported: no GPU in this machine");
}

TEST_CASE(
    "identity on a GPU: a request over the model's budget is refused with the numbers, smaller ones run") {
  House house;
  ModelSpec spec = identity_model();
  spec.device.memory_limit_bytes = 64 << 10;
  house.start(spec);
  GatheredAnswers answers;
  const std::vector<std::int64_t> widths = {100'000, 16};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    auto request = std::make_unique<Request>();
    request->model_name = "m";
    const std::vector<float> values(static_cast<std::size_t>(widths[i]), 1);
    request->given_inputs.push_back({"X", floats(Shape{1, widths[i]}, values)});
    request->sink = &answers;
    request->tag = i;
    REQUIRE(house.engine.submit(request).ok());
    answers.wait(i + 1);
  }
  for (auto& [tag, response] : answers.all()) {
    if (tag == 1) {
      CHECK(response.status.message() == "");
      continue;
    }
    CHECK(response.status.code() == Code::kUnavailable);
    const std::string message(response.status.message());
    CHECK_MESSAGE(message.find("model 'm' cannot have 0.4 MiB more on GPU 0: it has 0.0 MiB of the 0.1 MiB "
                               "that it may have") != std::string::npos,
                  message);
  }
  house.engine.close();
  CHECK(house.first->faults() == "");
}
