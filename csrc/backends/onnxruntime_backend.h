#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/onnx_providers.h"
#include "backends/onnx_runtime.h"
#include "execute/backend.h"

namespace naiad {

// Instances of the ONNX model in the file `model_path`. Those of one device share one session, which is
// loaded by the first of them and freed with the last. `options` are those of OnnxOptions::parse; throws
// Error(kInvalidArgument) for an unknown one. Any thread.
//
// The factory throws Error(kInvalidArgument) where the configuration and the file disagree,
// Error(kUnsupported) for a provider (of a GPU instance: CUDA) that the library lacks, Error(kInternal) with
// the library's reason when the file cannot be loaded.
BackendFactory make_onnxruntime_factory(std::shared_ptr<OnnxRuntime> runtime, std::string model_path,
                                        const std::map<std::string, std::string>& options,
                                        std::vector<OnnxProvider> providers = {});

}  // namespace naiad
