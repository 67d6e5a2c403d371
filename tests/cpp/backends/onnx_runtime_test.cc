#include "backends/onnx_runtime.h"

#include <doctest/doctest.h>

#include "batch_run.h"

namespace naiad {
namespace {

const char* version_1_16() {
  return "1.16.3";
}
const char* version_2_0() {
  return "2.0.1";
}
const char* version_1_17() {
  return "1.17.0";
}
const void* const* no_table(std::uint32_t) {
  return nullptr;
}

TEST_CASE("onnx runtime: the installed library loads, and loads again") {
  const auto runtime = onnx_runtime_of_environment();
  CHECK(runtime->version().starts_with("1."));
  CHECK(onnx_runtime_of_environment()->version() == runtime->version());
}

TEST_CASE("onnx runtime: a library that is missing or another one is refused without its folder") {
  CHECK_THROWS_WITH(
      OnnxRuntime::open("/no/such/folder/libonnxruntime.so.1"),
      "cannot use the ONNX Runtime library 'libonnxruntime.so.1': libonnxruntime.so.1: cannot open "
      "shared object file: No such file or directory");
  CHECK_THROWS_WITH(OnnxRuntime::open("libm.so.6"),
                    "cannot use the ONNX Runtime library 'libm.so.6': it does not export OrtGetApiBase");
}

TEST_CASE("onnx runtime: an unfit version is refused with what was got and expected") {
  CHECK_THROWS_WITH(
      OnnxRuntime::make({no_table, version_1_16}, "libonnxruntime.so"),
      "cannot use the ONNX Runtime library 'libonnxruntime.so': got version 1.16.3, expected 1.17 or "
      "newer");
  CHECK_THROWS_AS(OnnxRuntime::make({no_table, version_2_0}, "libonnxruntime.so"), Error);
  CHECK_THROWS_WITH(
      OnnxRuntime::make({no_table, version_1_17}, "libonnxruntime.so"),
      "cannot use the ONNX Runtime library 'libonnxruntime.so': version 1.17.0 has no API version 17");
}

TEST_CASE("onnx runtime: every datatype has an element type and comes back from it") {
  for (unsigned char i = 1; i <= 14; ++i) {
    const auto dtype = static_cast<DataType>(i);
    CHECK(dtype_to_onnx(dtype) != ort::kUndefined);
    CHECK(dtype_from_onnx(dtype_to_onnx(dtype)) == dtype);
  }
  CHECK(dtype_to_onnx(DataType::kInvalid) == ort::kUndefined);
  CHECK(dtype_from_onnx(static_cast<ort::ElementType>(17)) == DataType::kInvalid);  // float8
}

TEST_CASE("onnx runtime: messages lose folders and source paths, and keep names of nodes") {
  CHECK(without_paths("Load model from /srv/models/a/1/model.onnx failed: weights /srv/models/a/1/w.bin",
                      "/srv/models/a/1/model.onnx") == "Load model from model.onnx failed: weights w.bin");
  CHECK(without_paths("no such folder /srv/models/a", "/srv/models/a/model.onnx") ==
        "no such folder the model's folder");
  CHECK(without_paths("node '/encoder/layer.0/MatMul' at /onnxruntime_src/core/op_kernel.cc:83 void f(int)",
                      "") == "node '/encoder/layer.0/MatMul' at op_kernel.cc:83 void f(int)");
  CHECK(without_paths("a / b // c", "/model.onnx") == "a / b // c");
  CHECK(without_paths("/a/b.h /c/d.cc", "") == "b.h d.cc");
}

}  // namespace
}  // namespace naiad
