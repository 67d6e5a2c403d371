#include "backends/onnx_metadata.h"

#include <doctest/doctest.h>

#include "batch_run.h"

namespace naiad {
namespace {

OnnxMetadata read(const std::string& name) {
  return read_onnx_metadata(onnx_runtime_of_environment(), onnx_model_path(name));
}

TEST_CASE("onnx metadata: names, types and shapes of inputs and outputs, and the file's own pairs") {
  const OnnxMetadata metadata = read("simple");
  REQUIRE(metadata.inputs.size() == 2);
  CHECK(metadata.inputs[1].name == "INPUT1");
  CHECK(metadata.inputs[1].dtype == DataType::kInt32);
  CHECK(metadata.inputs[1].dims == Shape{-1, 16});
  REQUIRE(metadata.outputs.size() == 2);
  CHECK(metadata.outputs[0].name == "OUTPUT0");
  CHECK(metadata.outputs[0].dims == Shape{-1, 16});
  CHECK(metadata.custom == std::map<std::string, std::string>{{"author", "naiad"}, {"labels", "a\nb"}});
}

TEST_CASE("onnx metadata: every datatype, a scalar, and inputs with a value of their own") {
  const OnnxMetadata all = read("all_types");
  REQUIRE(all.inputs.size() == 14);
  for (const OnnxTensor& input : all.inputs) {
    CHECK(input.name == "IN_" + std::string(dtype_name(input.dtype)));
    CHECK(input.dims == Shape{-1, -1});
  }
  CHECK(read("scalar").inputs[0].dims == Shape{});
  const OnnxMetadata scale = read("scale");
  REQUIRE(scale.inputs.size() == 1);
  REQUIRE(scale.defaulted_inputs.size() == 1);
  CHECK(scale.defaulted_inputs[0].name == "factor");
  CHECK(scale.custom.empty());
}

}  // namespace
}  // namespace naiad
