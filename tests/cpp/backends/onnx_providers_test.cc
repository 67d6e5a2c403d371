#include "backends/onnx_providers.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "backends/onnxruntime_backend.h"
#include "batch_run.h"

namespace naiad {
namespace {

bool has(const std::string& name) {
  const std::vector<std::string> available = available_providers(*onnx_runtime_of_environment());
  return std::ranges::find(available, name) != available.end();
}

Status refusal(const Device& device, std::vector<OnnxProvider> providers) {
  try {
    BatchRun(model_of(0, {spec_of("x", DataType::kFp32, {1})}, {spec_of("y", DataType::kFp32, {1})}),
             make_onnxruntime_factory(onnx_runtime_of_environment(), onnx_model_path("scalar"), {},
                                      std::move(providers)),
             device);
  } catch (const Error& error) {
    return error.status();
  }
  return {};
}

TEST_CASE("onnx providers: every library runs on the CPU") {
  CHECK(has("CPUExecutionProvider"));
}

TEST_CASE("onnx providers: those that the library lacks are refused with what it has") {
  for (const std::string name : {"CUDA", "TensorRT"}) {
    if (has(name == "CUDA" ? "CUDAExecutionProvider" : "TensorrtExecutionProvider")) continue;
    CAPTURE(name);
    const Status status = refusal({DeviceKind::kGpu, 0}, {{DeviceKind::kGpu, name, {}}});
    CHECK(status.code() == Code::kUnsupported);
    CHECK(status.message().find(name == "CUDA"
                                    ? "has no CUDAExecutionProvider; it has "
                                    : "has no TensorrtExecutionProvider; it has ") != std::string::npos);
    CHECK(status.message().find("CPUExecutionProvider") != std::string::npos);
  }
}

TEST_CASE("onnx providers: one for GPUs is nothing to an instance on the CPU") {
  CHECK(refusal({}, {{DeviceKind::kGpu, "CUDA", {{"gpu_mem_limit", "1"}}}}).ok());
}

TEST_CASE("onnx providers: OpenVINO computes the same, where the library has it") {
  const std::vector<OnnxProvider> asked = {{DeviceKind::kCpu, "OpenVINO", {{"device_type", "CPU"}}}};
  if (!has("OpenVINOExecutionProvider")) {
    CHECK(refusal({}, asked).code() == Code::kUnsupported);
    return;
  }
  BatchRun runs(
      model_of(0, {spec_of("x", DataType::kFp32, {1})}, {spec_of("y", DataType::kFp32, {1})}),
      make_onnxruntime_factory(onnx_runtime_of_environment(), onnx_model_path("scalar"), {}, asked));
  const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1}, {2})}});
  CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{-2});
  const Status status = refusal({}, {{DeviceKind::kCpu, "OpenVINO", {{"no_such_option", "1"}}}});
  CHECK(status.code() == Code::kInvalidArgument);
  CHECK(status.message().find("execution provider OpenVINO: ") == 0);
}

TEST_CASE("onnx providers: a name that is none is refused") {
  CHECK(refusal({}, {{DeviceKind::kCpu, "Abacus", {}}}).message() ==
        "there is no execution provider 'Abacus'");
}

}  // namespace
}  // namespace naiad
