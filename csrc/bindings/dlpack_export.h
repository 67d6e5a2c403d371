#pragma once

#include <memory>

#include "bindings/core.h"
#include "bindings/dlpack.h"
#include "memory/tensor.h"

namespace naiad {

// Where the bytes of a tensor are, as DLPack says it.
dlpack::Device dlpack_device(const Tensor& tensor);

// A DLPack capsule over a tensor that is not of BYTES; it keeps the bytes, and `core` (may be null), whose
// pool they may be of. With the GIL.
py::capsule dlpack_capsule(Tensor tensor, std::shared_ptr<Core> core);

}  // namespace naiad
