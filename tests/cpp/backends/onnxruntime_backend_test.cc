#include "backends/onnxruntime_backend.h"

#include <doctest/doctest.h>

#include <thread>

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

// The bytes of `num_elements` elements, all different in their first byte, legal for BOOL too.
Tensor pattern(DataType dtype, Shape shape, std::size_t num_elements) {
  std::vector<unsigned char> bytes(num_elements * element_size_bytes(dtype));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<unsigned char>(dtype == DataType::kBool ? i % 2 : 3 * i + 1);
  }
  return tensor_of(dtype, shape, bytes);
}

ModelSpec all_types(std::uint32_t max_batch_size) {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  for (unsigned char i = 1; i <= 14; ++i) {
    const auto dtype = static_cast<DataType>(i);
    const std::string name(dtype_name(dtype));
    inputs.push_back(spec_of("IN_" + name, dtype, {-1}));
    outputs.push_back(spec_of("OUT_" + name, dtype, {-1}));
  }
  return model_of(max_batch_size, inputs, outputs);
}

TEST_CASE("onnxruntime: every datatype goes in and out unchanged, in batches") {
  BatchRun runs(all_types(4), factory_of("all_types"));
  std::vector<std::vector<Tensor>> batch(2);
  for (const TensorSpec& spec : all_types(4).inputs) {
    for (std::size_t k = 0; k < 2; ++k) {
      const auto num_rows = static_cast<std::int64_t>(k + 1);
      if (spec.dtype != DataType::kBytes) {
        batch[k].push_back(pattern(spec.dtype, {num_rows, 3}, 3 * (k + 1)));
        continue;
      }
      std::vector<std::string> elements(3 * (k + 1), std::string("a\0b", 3));  // NUL is a byte as any other
      elements[1] = "";
      elements.back() = "\xff last of request " + std::to_string(k);
      batch[k].push_back(bytes_tensor({num_rows, 3}, elements));
    }
  }
  for (int round = 0; round < 2; ++round) {
    const auto done = runs.run(batch);
    for (std::size_t k = 0; k < 2; ++k) {
      for (std::size_t i = 0; i < batch[k].size(); ++i) {
        CAPTURE(std::string(dtype_name(batch[k][i].dtype)));
        const Tensor& output = output_of(*done, k, i);
        CHECK(output.dtype == batch[k][i].dtype);
        CHECK(output.shape == batch[k][i].shape);
        CHECK(values_of<char>(output) == values_of<char>(batch[k][i]));
      }
    }
  }
}

TEST_CASE("onnxruntime: strings that are not as many as their shape says are refused") {
  const auto run_with = [](const Tensor& strings) {
    BatchRun runs(all_types(4), factory_of("all_types"));
    std::vector<Tensor> inputs;
    for (const TensorSpec& spec : all_types(4).inputs) {
      inputs.push_back(spec.dtype == DataType::kBytes ? strings : pattern(spec.dtype, {1, 1}, 1));
    }
    runs.run({inputs});
  };
  const Tensor two = bytes_tensor({1, 2}, {"ab", "cd"});
  Tensor wrong = two;
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 3}, Shape{1, 1'000'000'000'000}}) {
    wrong.shape = shape;
    CHECK_THROWS_WITH(run_with(wrong),
                      doctest::Contains("input 'IN_BYTES': its bytes do not hold exactly the"));
  }
  wrong = two;
  wrong.size_bytes -= 1;
  CHECK_THROWS_AS(run_with(wrong), Error);
  CHECK_NOTHROW(run_with(two));
}

TEST_CASE("onnxruntime: a scalar of the file is [1] in the configuration") {
  BatchRun runs(model_of(0, {spec_of("x", DataType::kFp32, {1})}, {spec_of("y", DataType::kFp32, {1})}),
                factory_of("scalar"));
  for (int round = 0; round < 2; ++round) {
    const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1}, {2.5F})}});
    CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{-2.5F});
    CHECK(output_of(*done, 0, 0).shape == Shape{1});
  }
}

TEST_CASE("onnxruntime: an absent input takes the file's value, or fails the batch where it has none") {
  // `factor` has a value in the file and no batch dimension, so the model is served without one.
  ModelSpec model =
      model_of(0, {spec_of("x", DataType::kFp32, {-1, 2}), spec_of("factor", DataType::kFp32, {1})},
               {spec_of("y", DataType::kFp32, {-1, 2})});
  for (TensorSpec& input : model.inputs) input.optional = true;
  BatchRun runs(model, factory_of("scale"));
  const Tensor x = tensor_of<float>(DataType::kFp32, {1, 2}, {1, 2});
  auto done = runs.run({{x, tensor_of<float>(DataType::kFp32, {1}, {3})}});
  CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{3, 6});
  done = runs.run({{x, Tensor{}}});
  CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{10, 20});
  CHECK_THROWS_WITH(runs.run({{Tensor{}, Tensor{}}}),
                    "input 'x' of model 'm' is absent, but the ONNX model has no value of its own for it");
  CHECK_NOTHROW(runs.run({{x, Tensor{}}}));
}

TEST_CASE("onnxruntime: a run that fails says which node, without a path, and the next run works") {
  BatchRun runs(
      model_of(0, {spec_of("x", DataType::kFp32, {-1, -1}), spec_of("shape", DataType::kInt64, {2})},
               {spec_of("y", DataType::kFp32, {-1, -1})}),
      factory_of("reshape_to"));
  const auto run_with = [&](std::int64_t num_columns) {
    return runs.run({{tensor_of<float>(DataType::kFp32, {2, 2}, {1, 2, 3, 4}),
                      tensor_of<std::int64_t>(DataType::kInt64, {2}, {1, num_columns})}});
  };
  try {
    run_with(3);
    FAIL("a reshape of 4 elements to 3 went through");
  } catch (const Error& error) {
    CHECK(error.code() == Code::kInternal);
    const std::string message = error.what();
    CHECK(message.find("/inner/reshape") != std::string::npos);
    CHECK(message.find("onnxruntime_src") == std::string::npos);
  }
  CHECK(output_of(*run_with(4), 0, 0).shape == Shape{1, 4});
}

TEST_CASE("onnxruntime: instances of a model run at the same time over one session") {
  const BackendFactory factory = factory_of("simple");
  std::vector<std::thread> threads;
  std::vector<int> num_right(2, 0);
  for (std::size_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      BatchRun runs(simple(8), factory);
      for (std::int32_t i = 0; i < 200; ++i) {
        const auto done = runs.run({simple_inputs(2, i, 1)});
        num_right[t] += values_of<std::int32_t>(output_of(*done, 0, 0)) == counting(i + 1, 32) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_right == std::vector<int>{200, 200});
}

}  // namespace
}  // namespace naiad
