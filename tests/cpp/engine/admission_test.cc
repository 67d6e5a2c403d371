#include "engine/admission.h"

#include <doctest/doctest.h>

#include "fakes/requests.h"

using namespace naiad;
using naiad::test::floats;

namespace {

ModelSpec two_inputs() {
  ModelSpec spec;
  spec.name = "m";
  spec.max_batch_size = 8;
  spec.inputs.push_back({"A", DataType::kFp32, Shape{2}, {}, false, {}});
  spec.inputs.push_back({"B", DataType::kFp32, Shape{-1}, {}, false, {}});
  spec.outputs.push_back({"Y", DataType::kFp32, Shape{-1}, {}, false, {}});
  return spec;
}

struct Given {
  const char* name;
  Shape shape;
};

Status admit_given(const ModelSpec& spec, const std::vector<Given>& inputs, Request& request,
                   const std::vector<const char*>& outputs = {}) {
  for (const Given& input : inputs) {
    request.given_inputs.push_back(
        {input.name, floats(input.shape, std::vector<float>(input.shape.num_elements().value()))});
  }
  for (const char* output : outputs) request.wanted_outputs.push_back({output, 0, {}});
  return admit(std::make_shared<const ModelSpec>(spec), request);
}

std::string refusal(const ModelSpec& spec, const std::vector<Given>& inputs,
                    const std::vector<const char*>& outputs = {}) {
  Request request;
  const Status status = admit_given(spec, inputs, request, outputs);
  CHECK(status.code() == Code::kInvalidArgument);
  return status.message();
}

}  // namespace

TEST_CASE("an admitted request has its inputs in the model's order and its rows counted") {
  Request request;
  REQUIRE(admit_given(two_inputs(), {{"B", {3, 5}}, {"A", {3, 2}}}, request).ok());
  CHECK(request.inputs[0].shape == Shape{3, 2});
  CHECK(request.inputs[1].shape == Shape{3, 5});
  CHECK(request.num_rows == 3);
  CHECK(request.wanted == std::vector<bool>{true});
}

TEST_CASE("what does not fit is refused in Triton's words") {
  const ModelSpec spec = two_inputs();
  CHECK(refusal(spec, {{"A", {1, 2}}}) ==
        "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['A'], but missing required input(s) "
        "['B']. Please provide all required input(s).");
  CHECK(refusal(spec, {{"A", {1, 2}}, {"C", {1, 2}}}) == "unexpected inference input 'C' for model 'm'");
  CHECK(refusal(spec, {{"A", {1, 2}}, {"B", {1, 1}}}, {"Z"}) ==
        "unexpected inference output 'Z' for model 'm'");
  CHECK(refusal(spec, {{"A", {9, 2}}, {"B", {9, 1}}}) == "inference request batch-size must be <= 8 for 'm'");
  CHECK(refusal(spec, {{"A", {1, 2}}, {"B", {2, 1}}}) ==
        "input 'B' batch size does not match other inputs for 'm'");
  CHECK(refusal(spec, {{"A", {0, 2}}, {"B", {0, 1}}}) == "inference request batch-size must be >= 1 for 'm'");
  CHECK(refusal(spec, {{"A", {1, 2}}, {"A", {1, 2}}}) == "input 'A' already exists in request");
  CHECK(refusal(spec, {{"A", {1, 3}}, {"B", {1, 1}}})
            .starts_with("unexpected shape for input 'A' for model 'm'. Expected [-1,2], got [1,3]. NOTE:"));
  CHECK(refusal(spec, {{"A", {2}}, {"B", {1, 1}}}).find("got [2].") != std::string::npos);
}

TEST_CASE("a wrong datatype names both") {
  ModelSpec spec = two_inputs();
  spec.inputs[0].dtype = DataType::kInt32;
  CHECK(refusal(spec, {{"A", {1, 2}}, {"B", {1, 1}}}) ==
        "inference input 'A' data-type is 'FP32', but model 'm' expects 'INT32'");
}

TEST_CASE("an optional input may be left out, a required one may not") {
  ModelSpec spec = two_inputs();
  spec.inputs[1].optional = true;
  Request request;
  REQUIRE(admit_given(spec, {{"A", {1, 2}}}, request).ok());
  CHECK_FALSE(request.inputs[1].present());
  CHECK(refusal(spec, {{"B", {1, 2}}})
            .starts_with("expected number of inputs between 1 and 2 but got 1 inputs for model 'm'"));
}

TEST_CASE("a reshaped input reaches the model in the model's shape") {
  ModelSpec spec = two_inputs();
  spec.inputs[0].dims = Shape{4};
  spec.inputs[0].reshape = Shape{2, 2};
  spec.inputs[1].dims = Shape{1};
  spec.inputs[1].reshape = Shape{};
  Request request;
  REQUIRE(admit_given(spec, {{"A", {3, 4}}, {"B", {3, 1}}}, request).ok());
  CHECK(request.inputs[0].shape == Shape{3, 2, 2});
  CHECK(request.inputs[1].shape == Shape{3});
}

TEST_CASE("without a batch dimension the dims are the whole shape") {
  ModelSpec spec = two_inputs();
  spec.max_batch_size = 0;
  Request request;
  REQUIRE(admit_given(spec, {{"A", {2}}, {"B", {7}}}, request).ok());
  CHECK(request.num_rows == 1);
  const std::string text = refusal(spec, {{"A", {3}}, {"B", {7}}});
  CHECK(text == "unexpected shape for input 'A' for model 'm'. Expected [2], got [3].");
}
