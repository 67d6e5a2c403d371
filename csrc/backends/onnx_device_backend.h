#pragma once

#include <memory>

#include "backends/onnx_session.h"
#include "execute/backend.h"

namespace naiad {

// An instance whose batches go through a session on the stream that this one was made with: inputs are bound
// where they lie on the GPU, outputs stay where the library puts them until the batch is done. For models
// without texts. Throws as OnnxBindings::make(). Instance thread.
std::unique_ptr<Backend> make_onnx_device_backend(const ModelSpec& model,
                                                  std::shared_ptr<const OnnxSession> session,
                                                  const Device& device);

}  // namespace naiad
