#pragma once

#include <memory>

#include "backends/onnx_session.h"
#include "memory/buffer.h"

namespace naiad {

// The bytes of a tensor that a run of `session` allocated, as a buffer: its last owner gives them back to the
// library. The buffer keeps the session, whose allocator they came from. Any thread.
BufferRef make_onnx_value_buffer(std::shared_ptr<const OnnxSession> session, OnnxOwned<ort::Value> value,
                                 std::size_t size_bytes, const Device& device = {});

}  // namespace naiad
