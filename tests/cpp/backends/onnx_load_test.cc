// What is refused when a model loads.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "backends/onnxruntime_backend.h"
#include "batch_run.h"

namespace naiad {
namespace {

ModelSpec simple() {
  return model_of(8, {spec_of("INPUT0", DataType::kInt32, {16}), spec_of("INPUT1", DataType::kInt32, {16})},
                  {spec_of("OUTPUT0", DataType::kInt32, {16})});
}

// The message and code of the refusal to load `file` as `model`; empty when it loads.
Status refusal(const ModelSpec& model, const std::string& file, Device device = {}) {
  try {
    BatchRun(model, make_onnxruntime_factory(onnx_runtime_of_environment(), file, {}), device);
  } catch (const Error& error) {
    return error.status();
  }
  return {};
}

TEST_CASE("onnxruntime: a configuration may name some of the outputs") {
  CHECK(refusal(simple(), onnx_model_path("simple")).ok());
}

TEST_CASE("onnxruntime: a configuration that the file contradicts is refused with both sides") {
  const std::string unable = "unable to load model 'm': model 'm', tensor 'INPUT1': ";
  ModelSpec model = simple();
  std::string expected;
  std::string file = "simple";
  SUBCASE("datatype") {
    model.inputs[1].dtype = DataType::kFp32;
    expected =
        unable + "the model expects data-type INT32 but the model configuration specifies data-type FP32";
  }
  SUBCASE("dimension") {
    model.inputs[1].dims = {15};
    expected =
        unable +
        "the model expects shape [-1,16] but the model configuration specifies an initial batch dimension "
        "because max_batch_size > 0 therefore making the complete shape [-1,15]";
  }
  SUBCASE("reshape wins over dims") {
    model.inputs[1].reshape = Shape{4, 4};
    expected =
        unable +
        "the model expects 2 dimensions (shape [-1,16]) but the model configuration specifies 3 dimensions "
        "(an initial batch dimension because max_batch_size > 0 therefore making the complete shape "
        "[-1,4,4])";
  }
  SUBCASE("no batch dimension in the file") {
    file = "simple_unbatched";
    expected =
        "unable to load model 'm': model 'm', tensor 'INPUT0': For the model to support batching the shape "
        "should "
        "have at least 1 dimension and the first dimension must be -1; but shape expected by the model is "
        "[16]";
  }
  SUBCASE("unknown input") {
    model.inputs[1].name = "INPUT2";
    expected =
        "unable to load model 'm': unexpected inference input 'INPUT2', allowed inputs are: INPUT0, INPUT1";
  }
  SUBCASE("unknown output") {
    model.outputs[0].name = "x";
    expected =
        "unable to load model 'm': unexpected inference output 'x', allowed outputs are: OUTPUT0, OUTPUT1";
  }
  SUBCASE("missing input") {
    model.inputs.pop_back();
    expected =
        "unable to load model 'm', configuration expects 1 inputs, model provides 2: input 'INPUT1' is "
        "missing in "
        "the configuration";
  }
  const Status status = refusal(model, onnx_model_path(file));
  CHECK(status.message() == expected);
  CHECK(status.code() == Code::kInvalidArgument);
}

TEST_CASE("onnxruntime: a GPU instance is refused by name") {
  const Status status = refusal(simple(), onnx_model_path("simple"), {DeviceKind::kGpu, 0});
  CHECK(status.code() == Code::kUnsupported);
  CHECK(status.message().find("has no CUDAExecutionProvider") != std::string::npos);
}

TEST_CASE("onnxruntime: a file that is missing or no model is refused without its folder") {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "naiad_onnx_load_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "model.onnx") << "not a model";
  for (const char* name : {"model.onnx", "missing.onnx"}) {
    const Status status = refusal(simple(), (folder / name).string());
    CAPTURE(status.message());
    CHECK(status.code() == Code::kInternal);
    CHECK(status.message().find(name) != std::string::npos);
    CHECK(status.message().find(folder.string()) == std::string::npos);
    CHECK(status.message().find("onnxruntime_src") == std::string::npos);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace naiad
