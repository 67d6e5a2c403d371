#include "execute/execution.h"

#include <doctest/doctest.h>

#include "base/clock.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using naiad::test::floats;
using naiad::test::RecordingSink;
using naiad::test::values_of;

namespace {

// A pool with no room.
class EmptyPool final : public TensorPool {
 public:
  BufferRef try_allocate(std::size_t) override { return {}; }
  PoolUsage usage() const override { return {}; }
  int arena_fd() const override { return -1; }
};

std::unique_ptr<Request> admitted(const std::shared_ptr<const ModelSpec>& spec, std::int64_t rows,
                                  float value, CompletionSink& sink) {
  auto request = std::make_unique<Request>();
  request->spec = spec;
  request->inputs.push_back(
      floats(Shape{rows, 2}, std::vector<float>(static_cast<std::size_t>(rows) * 2, value)));
  request->wanted = {true};
  request->num_rows = static_cast<std::uint32_t>(rows);
  request->sink = &sink;
  return request;
}

struct Scene {
  std::shared_ptr<const ModelSpec> spec = std::make_shared<const ModelSpec>(test::row_model(8));
  RecordingSink sink;
  FakeClock clock;
  HeapPool pool;

  Execution execution(std::vector<std::pair<std::int64_t, float>> rows) {
    std::vector<std::unique_ptr<Request>> requests;
    for (const auto& [count, value] : rows) requests.push_back(admitted(spec, count, value, sink));
    return {*spec, std::move(requests), pool, clock};
  }
};

}  // namespace

TEST_CASE("rows of several requests are gathered in order, and the outputs cut apart the same way") {
  Scene scene;
  Execution execution = scene.execution({{1, 1}, {2, 5}});
  const Tensor batch = execution.input(0);
  CHECK(batch.shape == Shape{3, 2});
  CHECK(values_of(batch) == std::vector<float>{1, 1, 5, 5, 5, 5});
  execution.output(0, batch);
  execution.complete();
  auto& homes = scene.sink.homes();
  REQUIRE(homes.size() == 2);
  CHECK(homes[0].response.outputs[0].tensor.shape == Shape{1, 2});
  CHECK(homes[1].response.outputs[0].tensor.shape == Shape{2, 2});
  CHECK(values_of(homes[1].response.outputs[0].tensor) == std::vector<float>{5, 5, 5, 5});
  // Slices of one slab, not copies.
  CHECK(homes[1].response.outputs[0].tensor.data == homes[0].response.outputs[0].tensor.data + 8);
}

TEST_CASE("a single request's own aligned bytes are handed on uncopied") {
  Scene scene;
  BufferRef block = scene.pool.try_allocate(8);
  auto request = admitted(scene.spec, 1, 3, scene.sink);
  request->inputs[0] = {DataType::kFp32, Shape{1, 2}, block->data(), 8, block};
  std::vector<std::unique_ptr<Request>> requests;
  requests.push_back(std::move(request));
  Execution execution(*scene.spec, std::move(requests), scene.pool, scene.clock);
  CHECK(execution.input(0).data == block->data());
  execution.complete();
}

TEST_CASE("a request that is kept is answered by its sender, whatever becomes of the batch") {
  Scene scene;
  Execution execution = scene.execution({{1, 1}, {2, 5}});
  auto sender = execution.keep(0);
  CHECK(execution.kept(0));
  CHECK_FALSE(execution.kept(1));
  CHECK(execution.counted(0).num_rows == 1);
  CHECK(execution.counted(1).num_rows == 2);
  execution.fail_all({Code::kInternal, "test"});
  execution.complete();
  REQUIRE(scene.sink.size() == 1);
  CHECK(scene.sink.homes()[0].request->num_rows == 2);
  CHECK(sender->send({}, true).ok());
  REQUIRE(scene.sink.size() == 2);
  CHECK(scene.sink.homes()[1].response.status.ok());
}

TEST_CASE("an output that the request does not want is left out") {
  Scene scene;
  auto request = admitted(scene.spec, 1, 3, scene.sink);
  request->wanted = {false};
  std::vector<std::unique_ptr<Request>> requests;
  requests.push_back(std::move(request));
  Execution execution(*scene.spec, std::move(requests), scene.pool, scene.clock);
  execution.output(0, execution.input(0));
  execution.complete();
  CHECK(scene.sink.homes()[0].response.outputs.empty());
}

TEST_CASE("an output with the wrong number of rows is the model's fault") {
  Scene scene;
  Execution execution = scene.execution({{1, 1}, {2, 5}});
  CHECK_THROWS_WITH_AS(execution.output(0, floats(Shape{2, 2}, {1, 2, 3, 4})),
                       "output 'Y' of model 'm' has shape [2,2] for a batch of 3 rows", Error);
  execution.complete();
}

TEST_CASE("a failure of one request drops its outputs, also those that come later") {
  Scene scene;
  Execution execution = scene.execution({{1, 1}, {1, 2}});
  execution.output(0, 0, floats(Shape{1, 2}, {1, 1}));
  execution.fail(0, {Code::kNotFound, "not here"});
  execution.output(0, 0, floats(Shape{1, 2}, {1, 1}));
  execution.fail_all({Code::kInternal, "all"});
  execution.complete();
  CHECK(scene.sink.homes()[0].response.status.code() == Code::kNotFound);
  CHECK(scene.sink.homes()[0].response.outputs.empty());
  CHECK(scene.sink.homes()[1].response.status.code() == Code::kInternal);
}

TEST_CASE("an exhausted pool is a clear error, not a crash") {
  Scene scene;
  EmptyPool empty;
  std::vector<std::unique_ptr<Request>> requests;
  requests.push_back(admitted(scene.spec, 1, 1, scene.sink));
  requests.push_back(admitted(scene.spec, 1, 2, scene.sink));
  Execution execution(*scene.spec, std::move(requests), empty, scene.clock);
  try {
    static_cast<void>(execution.input(0));
    FAIL("allocated from an empty pool");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kUnavailable);
  }
  execution.complete();
}
