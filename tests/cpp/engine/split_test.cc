#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

#include "engine/engine.h"
#include "engine/joined_response.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using naiad::test::floats;
using naiad::test::RecordingSink;
using naiad::test::row_model;
using naiad::test::row_request;
using naiad::test::values_of;

namespace {

// Y = X; waits at a gate before its first batch, notes the rows of each, and fails one that holds -1.
class Gated final : public Backend {
 public:
  struct House {
    std::promise<void> entered;
    std::promise<void> gate;
    std::atomic<bool> first{true};
    std::vector<std::uint32_t> batches;  // read when the model has stopped
  };
  explicit Gated(House& house) : house_(house) {}

  void execute(Execution& execution) override {
    if (house_.first.exchange(false)) {
      house_.entered.set_value();
      house_.gate.get_future().wait();
    }
    house_.batches.push_back(execution.num_rows());
    const Tensor x = execution.input(0);
    for (const float value : values_of(x)) {
      if (value == -1) throw Error(Code::kInternal, "minus one");
    }
    execution.output(0, x);
  }

 private:
  House& house_;
};

struct Server {
  Gated::House house;
  Engine engine{make_arena_pool(64 << 20)};
  RecordingSink sink;
  std::shared_ptr<Model> model;

  void start(ModelSpec spec) {
    spec.splits_oversize = true;
    const BackendFactory factory = [this](const InstanceSpec&) { return std::make_unique<Gated>(house); };
    model = engine.start(std::move(spec), factory, {{"m_0", {}}});
    engine.publish("m", {model});
  }
  Status submit(std::unique_ptr<Request> request) {
    request->sink = &sink;
    return engine.submit(request);
  }
  // The instance is at work on a request of one row.
  void occupy() {
    REQUIRE(submit(row_request(1, 1)).ok());
    house.entered.get_future().wait();
  }
  void finish() {
    if (house.first.load()) house.first = false;
    house.gate.set_value();
    engine.stop(*model, true);
  }
};

// Rows that hold 0, 1, 2, ...
std::unique_ptr<Request> counting(std::int64_t rows) {
  auto request = row_request(0, 1);
  std::vector<float> values;
  for (std::int64_t i = 0; i < rows; ++i) values.push_back(static_cast<float>(i));
  request->given_inputs[0].tensor = floats(Shape{rows, 1}, values);
  return request;
}

ModelSpec dynamic_model(std::uint32_t max_batch_size) {
  ModelSpec spec = row_model(max_batch_size);
  spec.batching.dynamic = true;
  return spec;
}

Response of_rows(std::int64_t rows, std::int64_t width) {
  Response response;
  response.outputs.push_back(
      {0, floats(Shape{rows, width}, std::vector<float>(static_cast<std::size_t>(rows * width), 1))});
  return response;
}

}  // namespace

TEST_CASE("a batch over the largest size is run in parts and answered as one") {
  Server server;
  server.start(dynamic_model(4));
  server.occupy();
  REQUIRE(server.submit(counting(10)).ok());
  REQUIRE(server.submit(row_request(2, 1, 7)).ok());
  server.finish();
  auto& homes = server.sink.homes();
  REQUIRE(homes.size() == 3);
  // The last part is of two rows, and takes the other request along.
  CHECK(server.house.batches == std::vector<std::uint32_t>{1, 4, 4, 4});
  const Tensor& joined = homes[1].response.outputs[0].tensor;
  CHECK(joined.shape == Shape{10, 1});
  CHECK(values_of(joined) == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const StatisticsValues values = server.model->statistics();
  CHECK(values.success.count == 3);
  CHECK(values.inference_count == 13);
  CHECK(values.execution_count == 4);
  CHECK(values.queue.count == 5);
  CHECK(values.fail.count == 0);
}

TEST_CASE("the first failure of a part is the answer, and those that have not run do not run") {
  Server server;
  server.start(row_model(2));
  server.occupy();
  auto request = counting(8);
  auto values = values_of(request->given_inputs[0].tensor);
  values[2] = -1;
  request->given_inputs[0].tensor = floats(Shape{8, 1}, values);
  REQUIRE(server.submit(std::move(request)).ok());
  server.finish();
  REQUIRE(server.sink.homes().size() == 2);
  const Response& response = server.sink.homes()[1].response;
  CHECK(response.status.code() == Code::kInternal);
  CHECK(response.status.message() == "minus one");
  CHECK(response.outputs.empty());
  CHECK(server.house.batches == std::vector<std::uint32_t>{1, 2, 2});
  const StatisticsValues counted = server.model->statistics();
  CHECK(counted.fail.count == 1);
  CHECK(counted.failures[static_cast<std::size_t>(FailureReason::kBackend)] == 1);
  CHECK(counted.failures[static_cast<std::size_t>(FailureReason::kCanceled)] == 0);
}

TEST_CASE("who cancels the batch cancels its parts") {
  Server server;
  server.start(row_model(2));
  server.occupy();
  auto request = counting(8);
  Request* const whole = request.get();
  REQUIRE(server.submit(std::move(request)).ok());
  whole->cancelled.store(true);
  server.finish();
  REQUIRE(server.sink.homes().size() == 2);
  CHECK(server.sink.homes()[1].response.status.code() == Code::kCancelled);
  CHECK(server.house.batches == std::vector<std::uint32_t>{1});
  CHECK(server.model->statistics().failures[static_cast<std::size_t>(FailureReason::kCanceled)] == 1);
}

TEST_CASE("a queue with room for some parts only refuses the batch, and one that never has room says so") {
  Server server;
  ModelSpec spec = row_model(2);
  spec.max_queue_size = 3;
  server.start(spec);
  server.occupy();
  CHECK(server.submit(counting(8)).code() == Code::kInvalidArgument);
  REQUIRE(server.submit(row_request(1, 1)).ok());
  REQUIRE(server.submit(counting(6)).ok());  // two of its three parts find room
  server.finish();
  REQUIRE(server.sink.homes().size() == 3);
  const Response& response = server.sink.homes()[2].response;
  CHECK(response.status.code() == Code::kUnavailable);
  CHECK(response.status.message() == "Exceeds maximum queue size");
  CHECK(server.model->statistics().failures[static_cast<std::size_t>(FailureReason::kRejected)] == 1);
}

TEST_CASE("a batch of which no part finds room stays with the caller") {
  Server server;
  ModelSpec spec = row_model(2);
  spec.max_queue_size = 2;
  server.start(spec);
  server.occupy();
  REQUIRE(server.submit(row_request(1, 1)).ok());
  REQUIRE(server.submit(row_request(1, 1)).ok());
  auto request = counting(4);
  request->sink = &server.sink;
  CHECK(server.engine.submit(request).code() == Code::kUnavailable);
  CHECK(request != nullptr);
  server.finish();
  CHECK(server.sink.homes().size() == 3);
}

TEST_CASE("no rows, and rows without end, are refused") {
  Server server;
  server.start(row_model(2));
  CHECK(server.submit(counting(0)).message() ==
        "[request id: <id_unknown>] inference request batch-size must be >= 1 for 'm'");
  CHECK(server.submit(row_request(1'000'000'000, 0)).message() ==
        "[request id: <id_unknown>] inference request batch-size must be <= 128 for 'm'");
  server.finish();
}

TEST_CASE("parts that do not fit together are told apart") {
  HeapPool pool;
  const ModelSpec spec = row_model(2);
  const auto message = [&](const std::vector<Response>& parts, std::vector<std::uint32_t> num_rows) {
    const Response joined = join_responses(spec, parts, num_rows, pool);
    CHECK(joined.status.code() == Code::kInternal);
    CHECK(joined.outputs.empty());
    return joined.status.message();
  };
  CHECK(message({of_rows(2, 1), of_rows(3, 1)}, {2, 1}) ==
        "output 'Y' of model 'm' has shape [3,1] for a part of 1 rows of a split batch");
  CHECK(message({of_rows(2, 1), of_rows(1, 2)}, {2, 1}) ==
        "output 'Y' of model 'm' has shape [1,2] for one part of a split batch and [2,1] for another one");
  CHECK(message({of_rows(2, 1), {}}, {2, 1}) ==
        "output 'Y' of model 'm' was given for some parts of a split batch and not for all");
  CHECK(message({of_rows(0, 4), of_rows(1, 4)}, {2, 1}) ==
        "output 'Y' of model 'm' has shape [0,4] for a part of 2 rows of a split batch");
}

TEST_CASE("rows without elements, outputs that are nowhere, parameters and an exhausted pool") {
  HeapPool pool;
  const ModelSpec spec = row_model(2);
  std::vector<Response> parts{of_rows(2, 0), of_rows(1, 0)};
  parts[0].parameters = {{"a", std::int64_t{1}}};
  parts[1].parameters = {{"a", std::int64_t{2}}, {"b", true}};
  const std::vector<std::uint32_t> num_rows{2, 1};
  const Response joined = join_responses(spec, parts, num_rows, pool);
  REQUIRE(joined.outputs.size() == 1);
  CHECK(joined.outputs[0].tensor.shape == Shape{3, 0});
  REQUIRE(joined.parameters.size() == 2);
  CHECK(joined.parameters[0].value == ParameterValue(std::int64_t{1}));
  CHECK(join_responses(spec, std::vector<Response>(2), num_rows, pool).outputs.empty());
  HeapPool none(4);
  const std::vector<Response> large{of_rows(2, 1), of_rows(1, 1)};
  CHECK(join_responses(spec, large, num_rows, none).status.code() == Code::kUnavailable);
}
