#include "backends/onnxruntime_backend.h"

#include <doctest/doctest.h>

#include "batch_run.h"

namespace naiad {
namespace {

BackendFactory factory_of(const std::string& name, const std::map<std::string, std::string>& options = {}) {
  return make_onnxruntime_factory(onnx_runtime_of_environment(), onnx_model_path(name), options);
}

ModelSpec simple(std::uint32_t max_batch_size) {
  return model_of(max_batch_size,
                  {spec_of("INPUT0", DataType::kInt32, {16}), spec_of("INPUT1", DataType::kInt32, {16})},
                  {spec_of("OUTPUT0", DataType::kInt32, {16}), spec_of("OUTPUT1", DataType::kInt32, {16})});
}

std::vector<std::int32_t> counting(std::int32_t from, std::size_t count) {
  std::vector<std::int32_t> values(count);
  for (std::int32_t& value : values) value = from++;
  return values;
}

// A request to `simple` of `num_rows` rows, of which INPUT0 counts up and INPUT1 is all `other`.
std::vector<Tensor> simple_inputs(std::int64_t num_rows, std::int32_t from, std::int32_t other) {
  const std::size_t count = static_cast<std::size_t>(num_rows) * 16;
  return {tensor_of(DataType::kInt32, {num_rows, 16}, counting(from, count)),
          tensor_of(DataType::kInt32, {num_rows, 16}, std::vector<std::int32_t>(count, other))};
}

TEST_CASE("onnxruntime: batches of the add and sub model, first allocated by the library, then in place") {
  BatchRun runs(simple(8), factory_of("simple"));
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    const auto done = runs.run({simple_inputs(1, 0, 3), simple_inputs(2, 100, 5)});
    CHECK(values_of<std::int32_t>(output_of(*done, 0, 0)) == counting(3, 16));
    CHECK(values_of<std::int32_t>(output_of(*done, 0, 1)) == counting(-3, 16));
    CHECK(values_of<std::int32_t>(output_of(*done, 1, 0)) == counting(105, 32));
    CHECK(values_of<std::int32_t>(output_of(*done, 1, 1)) == counting(95, 32));
    CHECK(output_of(*done, 1, 1).shape == Shape{2, 16});
    CHECK(done->outputs_ready_ns() >= done->inputs_ready_ns());
  }
}

TEST_CASE("onnxruntime: outputs whose shape has been proven lie in the pool, and cost no copy") {
  BatchRun runs(simple(8), factory_of("simple"));
  runs.run({simple_inputs(1, 0, 3)});
  const std::size_t before = runs.pool().usage().used_bytes;
  const auto done = runs.run({simple_inputs(4, 0, 3)});
  CHECK(runs.pool().usage().used_bytes >= before + 2 * 4 * 16 * sizeof(std::int32_t));
  CHECK(output_of(*done, 0, 0).data == output_of(*done, 0, 0).owner->data());
}

TEST_CASE("onnxruntime: a model without a batch dimension") {
  BatchRun runs(simple(0), factory_of("simple_unbatched"));
  const auto done = runs.run({{tensor_of(DataType::kInt32, {16}, counting(0, 16)),
                               tensor_of(DataType::kInt32, {16}, std::vector<std::int32_t>(16, 7))}});
  CHECK(values_of<std::int32_t>(output_of(*done, 0, 0)) == counting(7, 16));
  CHECK(output_of(*done, 0, 0).shape == Shape{16});
}

TEST_CASE("onnxruntime: outputs outlive the instance, the session and the runtime") {
  std::unique_ptr<Execution> first;  // allocated by the library
  BatchRun runs(simple(8), factory_of("simple"));
  first = runs.run({simple_inputs(1, 0, 3)});
  runs.end();
  CHECK(values_of<std::int32_t>(output_of(*first, 0, 0)) == counting(3, 16));
}

TEST_CASE("onnxruntime: output shapes that depend on the data, none at all included") {
  BatchRun runs(
      model_of(0, {spec_of("x", DataType::kFp32, {-1})}, {spec_of("at", DataType::kInt64, {1, -1})}),
      factory_of("nonzero"));
  auto done = runs.run({{tensor_of<float>(DataType::kFp32, {4}, {0, 5, 0, 6})}});
  CHECK(values_of<std::int64_t>(output_of(*done, 0, 0)) == std::vector<std::int64_t>{1, 3});
  CHECK(output_of(*done, 0, 0).shape == Shape{1, 2});
  done = runs.run({{tensor_of<float>(DataType::kFp32, {2}, {0, 0})}});
  CHECK(output_of(*done, 0, 0).shape == Shape{1, 0});
  done = runs.run({{tensor_of<float>(DataType::kFp32, {0}, {})}});
  CHECK(output_of(*done, 0, 0).size_bytes == 0);
}

TEST_CASE("onnxruntime: a file that promises a wrong output shape is served with the true one") {
  const std::vector<float> x{1, 2, 3, 4, 5};
  BatchRun runs(model_of(0, {spec_of("x", DataType::kFp32, {-1}), spec_of("ends", DataType::kInt64, {1})},
                         {spec_of("y", DataType::kFp32, {4})}),
                factory_of("lying_shape"));
  // Kept (twice: the second is written in place), broken while in place, broken, kept.
  for (const std::int64_t end : {4, 4, 2, 3, 4}) {
    CAPTURE(end);
    const auto done = runs.run(
        {{tensor_of(DataType::kFp32, {5}, x), tensor_of<std::int64_t>(DataType::kInt64, {1}, {end})}});
    CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>(x.begin(), x.begin() + end));
    CHECK(output_of(*done, 0, 0).shape == Shape{end});
  }
}

TEST_CASE("onnxruntime: an output that is a constant of the file") {
  BatchRun runs(model_of(0, {spec_of("x", DataType::kFp32, {2})},
                         {spec_of("y", DataType::kFp32, {2}), spec_of("c", DataType::kFp32, {2})}),
                factory_of("constant"));
  std::unique_ptr<Execution> kept;
  for (int round = 0; round < 3; ++round) {
    kept = runs.run({{tensor_of<float>(DataType::kFp32, {2}, {1, 2})}});
    CHECK(values_of<float>(output_of(*kept, 0, 0)) == std::vector<float>{-1, -2});
    CHECK(values_of<float>(output_of(*kept, 0, 1)) == std::vector<float>{3, 4});
  }
}

TEST_CASE("onnxruntime: an output that is an input keeps the input's bytes alive") {
  BatchRun runs(model_of(4, {spec_of("x", DataType::kFp32, {2})}, {spec_of("x", DataType::kFp32, {2})}),
                factory_of("passed_through"));
  for (int round = 0; round < 2; ++round) {
    const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1, 2}, {1, 2})},
                                {tensor_of<float>(DataType::kFp32, {1, 2}, {3, 4})}});
    CHECK(values_of<float>(output_of(*done, 1, 0)) == std::vector<float>{3, 4});
  }
}

}  // namespace
}  // namespace naiad
