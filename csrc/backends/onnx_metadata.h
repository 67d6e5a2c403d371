#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/onnx_runtime.h"
#include "base/dtype.h"
#include "memory/shape.h"

namespace naiad {

// An input or output as an ONNX file declares it.
struct OnnxTensor {
  std::string name;
  DataType dtype = DataType::kInvalid;  // kInvalid: not a tensor, or of a type that the v2 protocol lacks
  Shape dims;                           // the batch dimension included; -1 for a symbolic one; empty also
                                        // when the file declares no shape at all
};

// What a model says of itself.
struct OnnxMetadata {
  std::vector<OnnxTensor> inputs;
  std::vector<OnnxTensor> defaulted_inputs;  // inputs with a value in the file: they may be left out
  std::vector<OnnxTensor> outputs;
  std::map<std::string, std::string> custom;  // the file's own key-value pairs
};

// Reads it from a file, by loading the model without optimising it. Throws Error(kInternal) with the
// library's reason when it cannot be loaded. Blocks until it is loaded.
OnnxMetadata read_onnx_metadata(const std::shared_ptr<OnnxRuntime>& runtime, const std::string& model_path);

// The same of a session that is loaded. Any thread.
OnnxMetadata describe_onnx_session(const OnnxRuntime& runtime, const ort::Session& session);

}  // namespace naiad
