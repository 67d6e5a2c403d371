#include "backends/identity.h"

#include <doctest/doctest.h>

#include "batch_run.h"

namespace naiad {
namespace {

ModelSpec floats(std::uint32_t max_batch_size) {
  return model_of(max_batch_size, {spec_of("x", DataType::kFp32, {-1})},
                  {spec_of("y", DataType::kFp32, {-1})});
}

TEST_CASE("identity: a batch comes back cut into its requests") {
  BatchRun runs(floats(8), make_identity_factory());
  const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1, 2}, {1, 2})},
                              {tensor_of<float>(DataType::kFp32, {2, 2}, {3, 4, 5, 6})}});
  CHECK(done->num_rows() == 3);
  CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{1, 2});
  CHECK(values_of<float>(output_of(*done, 1, 0)) == std::vector<float>{3, 4, 5, 6});
  CHECK(output_of(*done, 1, 0).shape == Shape{2, 2});
}

TEST_CASE("identity: without a batch dimension, and with strings and nothing at all") {
  BatchRun runs(model_of(0, {spec_of("x", DataType::kBytes, {-1})}, {spec_of("y", DataType::kBytes, {-1})}),
                make_identity_factory());
  for (const auto& elements : {std::vector<std::string>{"a", "", std::string("\0b", 2)}, {}}) {
    const auto size = static_cast<std::int64_t>(elements.size());
    const Tensor given = bytes_tensor({size}, elements);
    const auto done = runs.run({{given}});
    CHECK(values_of<char>(output_of(*done, 0, 0)) == values_of<char>(given));
    CHECK(output_of(*done, 0, 0).shape == Shape{size});
  }
}

TEST_CASE("identity: an absent optional input has no output") {
  ModelSpec model = floats(0);
  model.inputs[0].optional = true;
  BatchRun runs(model, make_identity_factory());
  const auto done = runs.run({{Tensor{}}});
  CHECK(done->response(0).outputs.empty());
}

TEST_CASE("identity: what does not pair up is refused when it loads") {
  ModelSpec other_type = floats(0);
  other_type.outputs[0].dtype = DataType::kInt32;
  CHECK_THROWS_WITH(
      BatchRun(other_type, make_identity_factory()),
      "unable to load model 'm': identity expects output 'y' to be like input 'x', got INT32 [-1], "
      "expected FP32 [-1]");
  ModelSpec no_output = floats(0);
  no_output.outputs.clear();
  CHECK_THROWS_AS(BatchRun(no_output, make_identity_factory()), Error);
}

}  // namespace
}  // namespace naiad
