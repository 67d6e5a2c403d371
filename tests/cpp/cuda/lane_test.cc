#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/identity.h"
#include "engine/engine.h"
#include "fakes/gathered_answers.h"
#include "memory/host_pinning.h"

// The whole way of batches, on the real thing: what the stand-in has proven of order must hold of bytes here.

using namespace naiad;
using namespace naiad::test;

namespace {

ModelSpec identity_model(std::size_t gather_threshold) {
  ModelSpec spec;
  spec.name = std::string("m");
  spec.max_batch_size = 64;
  spec.batching.dynamic = true;
  spec.max_queue_size = 10'000;
  spec.device.gather_threshold = gather_threshold;
  spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"Y", DataType::kFp32, Shape{-1}, {}, false, {}});
  return spec;
}

void serve(std::size_t pinned_bytes, std::size_t gather_threshold) {
  CAPTURE(pinned_bytes);
  CAPTURE(gather_threshold);
  Engine engine(make_arena_pool(std::size_t{512} << 20, pinned_bytes));
  std::vector<InstancePlan> plans;
  for (int device = 0; device < gpu_count(); ++device) {
    plans.push_back({"m_0_" + std::to_string(device), {DeviceKind::kGpu, device}, {}, false, {}});
  }
  engine.publish("m", {engine.start(identity_model(gather_threshold), make_identity_factory(), plans)});
  std::mt19937 random(std::random_device{}());
  GatheredAnswers answers;
  std::vector<std::vector<float>> given;
  for (std::size_t i = 0; i < 2000; ++i) {
    const std::int64_t width = i % 10 == 0 ? 150'000 : 1 + static_cast<std::int64_t>(random() % 4);
    std::vector<float> values(static_cast<std::size_t>(width));
    for (float& value : values) value = static_cast<float>(random());
    auto request = std::make_unique<Request>();
    const std::size_t size_bytes = values.size() * sizeof(float);
    // As they come from the wire: in the arena, at any address.
    const std::size_t shift = random() % 8;
    BufferRef block = engine.pool().try_allocate(size_bytes + shift);
    REQUIRE(block);
    std::memcpy(block->data() + shift, values.data(), size_bytes);
    request->model_name = "m";
    request->given_inputs.push_back(
        {"X", {DataType::kFp32, Shape{1, width}, block->data() + shift, size_bytes, block}});
    request->sink = &answers;
    request->tag = i;
    REQUIRE(engine.submit(request).ok());
    given.push_back(std::move(values));
    if (i % 500 == 499) answers.wait(i + 1);
  }
  answers.wait(given.size());
  for (auto& [tag, response] : answers.all()) {
    REQUIRE_MESSAGE(response.status.ok(), response.status.message());
    CHECK(values_of(response.outputs.at(0).tensor) == given[tag]);
  }
  answers.all().clear();
  engine.close();
}

}  // namespace

TEST_CASE("a model on every GPU answers what it was asked, from pinned memory and from other") {
  if (gpu_count() == 0) {
    MESSAGE("not run: " << gpu_absence());
    return;
  }
  for (const std::size_t pinned_bytes : {std::size_t{0}, std::size_t{512} << 20}) {
    for (const std::size_t threshold : {std::size_t{0}, std::size_t{2}}) serve(pinned_bytes, threshold);
  }
}
