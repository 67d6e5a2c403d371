#pragma once

#include <string>
#include <vector>

#include "backends/onnx_metadata.h"
#include "base/error.h"
#include "request/model_spec.h"

namespace naiad {

// One input or output of a model together with the tensor of the ONNX file that it stands for.
struct OnnxBinding {
  std::string name;
  ort::ElementType element = ort::kUndefined;
  Shape dims;                // as the file declares them, batch dimension included
  bool shape_known = false;  // every dimension but the batch is fixed, so it can be written in place
  bool scalar = false;       // of rank 0 in the file, [1] in the configuration
  bool has_default = false;  // inputs: the file holds a value for it
};

// What is thrown for a request without an input that the file has no value for. Any thread.
Error absent_input(const ModelSpec& model, const OnnxBinding& binding);

// A model's configuration laid beside its file.
struct OnnxBindings {
  std::vector<OnnxBinding> inputs;   // in the order of ModelSpec::inputs
  std::vector<OnnxBinding> outputs;  // in the order of ModelSpec::outputs

  // Throws Error(kInvalidArgument) where they disagree: a name that the file lacks, an input that the
  // configuration lacks, type, rank, dimension, a batch dimension that the file does not have. Any thread.
  static OnnxBindings make(const ModelSpec& model, const OnnxMetadata& metadata);
};

}  // namespace naiad
