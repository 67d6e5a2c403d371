#include "engine/engine.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "fakes/comes_true.h"
#include "fakes/requests.h"

using namespace naiad;
using naiad::test::comes_true;
using naiad::test::RecordingSink;
using naiad::test::row_model;
using naiad::test::row_request;
using naiad::test::values_of;

namespace {

// Y = X + 1; fails the batch when a row starts with a negative number, a request alone when it is 1000.
class AddOne final : public Backend {
 public:
  void execute(Execution& execution) override {
    const Tensor x = execution.input(0);
    execution.inputs_ready();
    std::vector<float> values = values_of(x);
    for (float& value : values) {
      if (value < 0) throw std::runtime_error("negative");
      value += 1;
    }
    execution.outputs_ready();
    execution.output(0, test::floats(x.shape, values));
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      if (values_of(execution.request(k).inputs[0]).front() == 1000) {
        execution.fail(k, {Code::kInvalidArgument, "a thousand"});
      }
    }
  }
};

BackendFactory add_one() {
  return [](const InstanceSpec&) { return std::make_unique<AddOne>(); };
}

std::vector<InstancePlan> instances(std::size_t count) {
  std::vector<InstancePlan> plans;
  for (std::size_t i = 0; i < count; ++i) plans.push_back({"m_" + std::to_string(i), {}});
  return plans;
}

struct House {
  Engine engine{make_arena_pool(64 << 20)};
  RecordingSink sink;

  Status submit(std::unique_ptr<Request> request) {
    request->sink = &sink;
    return engine.submit(request);
  }
};

}  // namespace

TEST_CASE("requests come home with their own rows, and are counted") {
  House house;
  ModelSpec spec = row_model(8);
  spec.batching.dynamic = true;
  spec.batching.max_queue_delay_ns = 1'000'000'000;
  spec.batching.preferred_num_rows = {4};
  const auto model = house.engine.start(spec, add_one(), instances(1));
  house.engine.publish("m", {model});
  for (int i = 0; i < 4; ++i) REQUIRE(house.submit(row_request(1, 3, static_cast<float>(i))).ok());
  REQUIRE(comes_true(
      [&] { return house.sink.size() == 4; }));  // one that is stopped forms its last batches early
  house.engine.stop(*model, true);
  REQUIRE(house.sink.homes().size() == 4);
  for (auto& home : house.sink.homes()) {
    REQUIRE(home.response.status.ok());
    REQUIRE(home.response.outputs.size() == 1);
    CHECK(home.response.outputs[0].tensor.shape == Shape{1, 3});
    CHECK(values_of(home.response.outputs[0].tensor).front() ==
          values_of(home.request->inputs[0]).front() + 1);
  }
  const StatisticsValues values = model->statistics();
  CHECK(values.inference_count == 4);
  CHECK(values.execution_count == 1);
  CHECK(values.success.count == 4);
  CHECK(values.queue.count == 4);
  CHECK(values.batches.at(4).compute_infer.count == 1);
}

TEST_CASE("a failing batch fails its requests only, and the instance lives on") {
  House house;
  const auto model = house.engine.start(row_model(8), add_one(), instances(1));
  house.engine.publish("m", {model});
  REQUIRE(house.submit(row_request(1, 1, -1)).ok());
  REQUIRE(house.submit(row_request(1, 1, 1000)).ok());
  REQUIRE(house.submit(row_request(1, 1, 5)).ok());
  house.engine.stop(*model, true);
  auto& homes = house.sink.homes();
  REQUIRE(homes.size() == 3);
  CHECK(homes[0].response.status.code() == Code::kInternal);
  CHECK(homes[0].response.status.message() == "negative");
  CHECK(homes[1].response.status.code() == Code::kInvalidArgument);
  CHECK(homes[1].response.outputs.empty());
  CHECK(homes[2].response.status.ok());
  const StatisticsValues values = model->statistics();
  CHECK(values.fail.count == 2);
  CHECK(values.failures[static_cast<std::size_t>(FailureReason::kBackend)] == 2);
  CHECK(values.success.count == 1);
}

TEST_CASE("a name that several models bear means none of them, until one of them is left") {
  House house;
  const auto first = house.engine.start(row_model(8), add_one(), instances(1));
  house.engine.publish("1::m", {first});
  house.engine.publish("m", {first});
  house.engine.make_ambiguous("m", 2);
  std::shared_ptr<Model> found;
  const Status status = house.engine.find("m", "1", found);
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message() ==
        "There are 2 identifiers of model 'm' in global map, model namespace must be provided to resolve "
        "ambiguity.");
  auto request = row_request(1, 1, 1);
  request->model_name = "m";
  CHECK(house.engine.submit(request).message() == status.message());
  CHECK(house.engine.find("1::m", "", found).ok());
  house.engine.publish("m", {first});
  CHECK(house.engine.find("m", "", found).ok());
}

TEST_CASE("names and versions are told apart in Triton's words") {
  House house;
  const auto first = house.engine.start(row_model(8), add_one(), instances(1));
  ModelSpec newer = row_model(8);
  newer.version = 3;
  const auto third = house.engine.start(newer, add_one(), instances(1));
  house.engine.publish("m", {first, third});
  house.engine.publish("gone", {});
  std::shared_ptr<Model> found;
  CHECK(house.engine.find("m", "", found).ok());
  CHECK(found == third);
  CHECK(house.engine.find("m", "1", found).ok());
  CHECK(found == first);
  CHECK(house.engine.find("nope", "", found).message() == "Request for unknown model: 'nope' is not found");
  CHECK(house.engine.find("gone", "", found).message() ==
        "Request for unknown model: 'gone' has no available versions");
  CHECK(house.engine.find("m", "9", found).message() ==
        "Request for unknown model: 'm' version 9 is not found");
  for (const char* bad : {"a", "-1", "0", "1x", " 1", "99999999999999999999"}) {
    CHECK(house.engine.find("m", bad, found).code() == Code::kInvalidArgument);
  }
}

TEST_CASE("a model whose backend cannot be made is not started") {
  House house;
  std::atomic<int> made = 0;
  const BackendFactory factory = [&made](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    if (spec.name == "m_1") throw Error(Code::kInternal, "no such file");
    ++made;
    return std::make_unique<AddOne>();
  };
  CHECK_THROWS_WITH_AS(house.engine.start(row_model(8), factory, instances(3)), "no such file", Error);
  CHECK(made == 2);
}

TEST_CASE("a stopped model refuses, and what it had is failed when not drained") {
  House house;
  const auto model = house.engine.start(row_model(8), add_one(), instances(1));
  house.engine.publish("m", {model});
  house.engine.stop(*model, false);
  CHECK(house.submit(row_request(1, 1)).code() == Code::kUnavailable);
}

namespace {

// Says on which thread it ran; may run on any.
class Anywhere final : public Backend {
 public:
  explicit Anywhere(std::atomic<std::thread::id>& last, std::atomic<int>& inside)
      : last_(last), inside_(inside) {}
  bool runs_on_any_thread() const override { return true; }
  void execute(Execution& execution) override {
    CHECK(inside_.fetch_add(1) == 0);
    last_ = std::this_thread::get_id();
    execution.output(0, execution.input(0));
    inside_.fetch_sub(1);
  }

 private:
  std::atomic<std::thread::id>& last_;
  std::atomic<int>& inside_;
};

struct InlineHouse {
  explicit InlineHouse(std::uint64_t limit_ns) : engine(make_arena_pool(64 << 20), limit_ns) {}

  void start(const ModelSpec& spec) {
    model = engine.start(
        spec, [this](const InstanceSpec&) { return std::make_unique<Anywhere>(last, inside); }, instances(1));
    engine.publish("m", {model});
  }
  // Which thread ran it.
  std::thread::id run(std::unique_ptr<Request> request) {
    const std::size_t before = sink.size();
    request->sink = &sink;
    CHECK(engine.submit(request).ok());
    while (sink.size() == before) std::this_thread::yield();
    return last;
  }

  std::atomic<std::thread::id> last{};
  std::atomic<int> inside{0};
  Engine engine;
  RecordingSink sink;
  std::shared_ptr<Model> model;
};

constexpr std::uint64_t kAnyTime = 1'000'000'000'000;

}  // namespace

TEST_CASE("a short model is run by the submitting thread, once it is known to be short") {
  InlineHouse house(kAnyTime);
  house.start(row_model(8));
  CHECK(house.run(row_request(1, 1)) != std::this_thread::get_id());
  // The instance may still be counting the first one.
  while (house.run(row_request(1, 1)) != std::this_thread::get_id()) std::this_thread::yield();
  CHECK(house.model->statistics().success.count == house.sink.size());
  // What a large one costs is not known by that; in the end it is.
  CHECK(house.run(row_request(1, 10'000)) != std::this_thread::get_id());
  while (house.run(row_request(1, 10'000)) != std::this_thread::get_id()) std::this_thread::yield();
}

TEST_CASE("a model with a delay, or an engine without the wish, always uses the instance's thread") {
  ModelSpec delayed = row_model(8);
  delayed.batching.dynamic = true;
  delayed.batching.max_queue_delay_ns = 1000;
  InlineHouse house(kAnyTime);
  house.start(delayed);
  InlineHouse never(0);
  never.start(row_model(8));
  for (int i = 0; i < 20; ++i) {
    CHECK(house.run(row_request(1, 1)) != std::this_thread::get_id());
    CHECK(never.run(row_request(1, 1)) != std::this_thread::get_id());
  }
}

TEST_CASE("stress: a backend runs one batch at a time, whichever thread runs it, also while it is stopped") {
  for (int round = 0; round < 5; ++round) {
    InlineHouse house(kAnyTime);
    house.start(row_model(8));
    static_cast<void>(house.run(row_request(1, 1)));
    std::atomic<std::size_t> accepted{1};
    {
      std::vector<std::jthread> clients;
      for (int c = 0; c < 3; ++c) {
        clients.emplace_back([&] {
          for (int i = 0; i < 400; ++i) {
            auto request = row_request(1, 2, 1);
            request->sink = &house.sink;
            if (house.engine.submit(request).ok()) ++accepted;
          }
        });
      }
      std::this_thread::yield();
      house.engine.stop(*house.model, true);
    }
    CHECK(house.sink.size() == accepted.load());
  }
}

TEST_CASE("stress: submitters, instances and stopping at once lose nothing") {
  for (int round = 0; round < 5; ++round) {
    House house;
    ModelSpec spec = row_model(8);
    spec.batching.dynamic = true;
    const auto model = house.engine.start(spec, add_one(), instances(2));
    house.engine.publish("m", {model});
    std::atomic<std::size_t> accepted{0};
    {
      std::vector<std::jthread> clients;
      for (int c = 0; c < 2; ++c) {
        clients.emplace_back([&] {
          for (int i = 0; i < 500; ++i) {
            if (house.submit(row_request(1, 2, static_cast<float>(i))).ok()) ++accepted;
          }
        });
      }
      std::this_thread::yield();
      house.engine.stop(*model, round % 2 == 0);
    }
    CHECK(house.sink.size() == accepted.load());
    const StatisticsValues values = model->statistics();
    CHECK(values.success.count + values.fail.count == 1000);
  }
}
