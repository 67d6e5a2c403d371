#pragma once

#include <cstddef>
#include <span>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "request/request.h"

namespace naiad {

// Reads the raw form of a v2 HTTP request (Inference-Header-Content-Length: 0): the body is the bytes of the
// one input that `spec` names, for a batch of 1. All outputs are wanted as binary. Any thread.
Status decode_raw_v2_http(std::span<const std::byte> body, const ModelSpec* spec, TensorPool& pool,
                          Request& request);

}  // namespace naiad
