#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "memory/tensor.h"
#include "request/model_spec.h"

namespace naiad {

// The classification extension's form of an output: a BYTES tensor of "value:index[:label]" strings.
struct Classes {
  Shape shape;
  std::string bytes;  // wire form
};

// Finds the `num_classes` largest elements of `tensor` (of each row of its first dimension if `batched`),
// largest first, equal ones by index, NaN last. kInvalidArgument for BYTES and BOOL. Any thread.
Status classify(const Tensor& tensor, const TensorSpec& output, std::uint32_t num_classes, bool batched,
                Classes& classes);

}  // namespace naiad
