#pragma once

#include <span>

#include "backends/onnx_runtime.h"
#include "memory/shape.h"

namespace naiad {

// A tensor of the library over bytes of ours, which live as long and lie where `memory` says; the library
// writes to them where it is an output. Throws Error(kInternal). Any thread.
OnnxOwned<ort::Value> value_over(const OnnxRuntime& runtime, const ort::MemoryInfo& memory,
                                 std::span<const std::byte> bytes, const Shape& shape,
                                 ort::ElementType element);

// Throws Error(kInternal). Any thread.
Shape shape_of(const OnnxRuntime& runtime, const ort::Value& value);

}  // namespace naiad
