#include "execute/ragged.h"

#include <doctest/doctest.h>

#include <cstring>

#include "base/clock.h"
#include "execute/execution.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"
#include "schedule/same_shape.h"

using namespace naiad;
using namespace naiad::test;

namespace {

// X is ragged: requests of 3, 4 (two rows of 2) and 5 elements. Y is cut by its shapes.
struct Ragged {
  Ragged() {
    model = row_model(8);
    model.inputs[0].ragged = true;
    model.batch_outputs.push_back({0, 0});
    spec = std::make_shared<const ModelSpec>(model);
    add(1, 3, 1);
    add(2, 2, 2);
    add(1, 5, 3);
  }
  void add(std::uint32_t rows, std::int64_t width, float value) {
    auto request = row_request(rows, width, value);
    request->spec = spec;
    request->inputs = {request->given_inputs[0].tensor};
    request->wanted = {true};
    request->num_rows = rows;
    request->sink = &sink;
    requests.push_back(std::move(request));
  }
  std::vector<float> made(BatchInputKind kind, Shape shape, DataType dtype = DataType::kFp32) {
    const Tensor tensor = make_batch_input({kind, 1, 0}, dtype, requests, pool);
    CHECK(tensor.shape == shape);
    CHECK(tensor.dtype == dtype);
    if (dtype == DataType::kFp32) return values_of(tensor);
    std::vector<std::int32_t> numbers(tensor.size_bytes / 4);
    std::memcpy(numbers.data(), tensor.data, tensor.size_bytes);
    return {numbers.begin(), numbers.end()};
  }

  HeapPool pool;
  SteadyClock clock;
  RecordingSink sink;
  ModelSpec model;
  std::shared_ptr<const ModelSpec> spec;
  Requests requests;
};

using Values = std::vector<float>;

}  // namespace

TEST_CASE("what an input tells of a batch") {
  Ragged r;
  CHECK(r.made(BatchInputKind::kElementCount, Shape{3}) == Values{3, 4, 5});
  CHECK(r.made(BatchInputKind::kElementCount, Shape{3}, DataType::kInt32) == Values{3, 4, 5});
  CHECK(r.made(BatchInputKind::kAccumulatedElementCount, Shape{3}) == Values{3, 7, 12});
  CHECK(r.made(BatchInputKind::kAccumulatedElementCountWithZero, Shape{4}) == Values{0, 3, 7, 12});
  CHECK(r.made(BatchInputKind::kMaxElementCountAsShape, Shape{5}).size() == 5);
  CHECK(r.made(BatchInputKind::kItemShape, Shape{4, 1}) == Values{3, 2, 2, 5});
  CHECK(r.made(BatchInputKind::kItemShapeFlatten, Shape{4}) == Values{3, 2, 2, 5});
}

TEST_CASE("ragged requests run together, their elements in one row, and the output is cut by their shapes") {
  Ragged r;
  CHECK(batch_together(*r.requests[0], *r.requests[2]));
  Execution execution(*r.spec, std::move(r.requests), r.pool, r.clock);
  const Tensor x = execution.input(0);
  CHECK(x.shape == Shape{12});
  CHECK(values_of(x) == Values{1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3});
  execution.output(0, x);
  execution.complete();
  REQUIRE(r.sink.size() == 3);
  const auto shape_of = [&](std::size_t k) { return r.sink.homes()[k].response.outputs.at(0).tensor.shape; };
  CHECK(shape_of(0) == Shape{1, 3});
  CHECK(shape_of(1) == Shape{2, 2});
  CHECK(shape_of(2) == Shape{1, 5});
  CHECK(values_of(r.sink.homes()[1].response.outputs[0].tensor) == Values{2, 2, 2, 2});
}

TEST_CASE("an output that is too small for its shapes is an error") {
  Ragged r;
  Execution execution(*r.spec, std::move(r.requests), r.pool, r.clock);
  CHECK_THROWS_AS(execution.output(0, floats(Shape{11}, Values(11))), Error);
  execution.complete();
}
