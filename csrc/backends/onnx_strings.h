#pragma once

#include "backends/onnx_runtime.h"
#include "execute/execution.h"
#include "memory/tensor.h"

namespace naiad {

// A string tensor of the library with the elements of a kBytes tensor. Throws Error(kInvalidArgument) naming
// `input` when the bytes are not as many elements as the shape says. Any thread.
OnnxOwned<ort::Value> string_value_from(const OnnxRuntime& runtime, const Tensor& tensor,
                                        const std::string& input);

// The bytes of a string tensor in the wire form, in a block of the execution's pool. Instance thread.
Tensor bytes_from(const OnnxRuntime& runtime, const ort::Value& value, const Shape& shape,
                  Execution& execution);

}  // namespace naiad
