#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backends/onnx_runtime.h"
#include "memory/device.h"

namespace naiad {

// An execution provider that a model asks for, with its options by the library's names.
struct OnnxProvider {
  DeviceKind device = DeviceKind::kCpu;  // of the instances that run with it
  std::string name;                      // "CUDA", "TensorRT", "OpenVINO"
  std::vector<std::pair<std::string, std::string>> options;
};

// What the library was built with: "CPUExecutionProvider" ... Any thread.
std::vector<std::string> available_providers(const OnnxRuntime& runtime);

// Adds the providers of an instance on `device`, in their order; on a GPU CUDA comes last, with or without
// options, and runs what the others do not. `stream`: of CUDA, on which they queue their work; null: they
// make their own. Throws Error(kUnsupported) for one that the library lacks, Error(kInvalidArgument) with the
// library's reason for options that it does not take. Any thread.
void append_providers(const OnnxRuntime& runtime, ort::SessionOptions& session_options, const Device& device,
                      const std::vector<OnnxProvider>& providers, void* stream = nullptr);

}  // namespace naiad
