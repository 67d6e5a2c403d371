#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/admission.h"
#include "execute/execution.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"
#include "schedule/same_shape.h"

using namespace naiad;
using namespace naiad::test;

namespace {

using Values = std::vector<float>;

std::shared_ptr<const ModelSpec> resizing_model() {
  ModelSpec spec = row_model(8);
  spec.inputs.push_back({"SIZE", DataType::kFp32, Shape{2}, {}, false, {}});
  spec.inputs[1].shape_values = true;
  return std::make_shared<const ModelSpec>(std::move(spec));
}

std::unique_ptr<Request> resizing_request(std::int64_t rows, const Values& size, Shape shape = {2}) {
  auto request = row_request(rows, 3);
  request->given_inputs.insert(request->given_inputs.begin(), {"SIZE", floats(std::move(shape), size)});
  return request;
}

}  // namespace

TEST_CASE("an input whose values set shapes has no batch dimension and says nothing of the rows") {
  const auto request = resizing_request(4, {5, 6});
  REQUIRE(admit(resizing_model(), *request).ok());
  CHECK(request->num_rows == 4);
  CHECK(request->inputs[1].shape == Shape{2});

  const Status status = admit(resizing_model(), *resizing_request(1, {5, 6}, {1, 2}));
  CHECK(status.message() == "unexpected shape for input 'SIZE' for model 'm'. Expected [2], got [1,2].");
}

TEST_CASE("requests with the same of its values run together, with others they do not") {
  const auto spec = resizing_model();
  std::vector<std::unique_ptr<Request>> requests;
  for (const Values& size : {Values{5, 6}, Values{5, 6}, Values{5, 7}}) {
    requests.push_back(resizing_request(2, size));
    REQUIRE(admit(spec, *requests.back()).ok());
  }
  CHECK(batch_together(*requests[0], *requests[1]));
  CHECK_FALSE(batch_together(*requests[0], *requests[2]));
  requests.pop_back();

  HeapPool pool;
  const SteadyClock clock;
  RecordingSink sink;
  for (const auto& request : requests) request->sink = &sink;
  Execution execution(*spec, std::move(requests), pool, clock);
  CHECK(execution.input(0).shape == Shape{4, 3});
  const Tensor size = execution.input(1);
  CHECK(size.shape == Shape{2});
  CHECK(values_of(size) == Values{5, 6});
  execution.complete();
}
