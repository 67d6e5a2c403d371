#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backends/onnx_metadata.h"
#include "backends/onnx_options.h"
#include "backends/onnx_providers.h"
#include "backends/onnx_runtime.h"

namespace naiad {

// A model that ONNX Runtime has loaded. The library lets any number of threads run one session, so all
// instances of a model share it: its weights are in memory once.
class OnnxSession {
 public:
  // Throws Error(kInternal) with the library's reason when the model cannot be loaded. Blocks until it is
  // loaded.
  // Throws as append_providers() too, for those of an instance on `device`. With a `stream` of CUDA's it is
  // that instance's alone: its runs queue their work there and do not wait for it.
  OnnxSession(std::shared_ptr<OnnxRuntime> runtime, const std::string& model_path, const OnnxOptions& options,
              const Device& device = {}, const std::vector<OnnxProvider>& providers = {},
              void* stream = nullptr);

  // Any thread.
  const OnnxMetadata& metadata() const { return metadata_; }
  // Any thread.
  const std::shared_ptr<OnnxRuntime>& runtime() const { return runtime_; }

  // Places of inputs and outputs, for a run. Throws Error(kInternal). Any thread.
  OnnxOwned<ort::IoBinding> make_binding() const;
  // Runs the model once. Throws Error(kInternal). One thread at a time, where there is a stream.
  void run(const ort::IoBinding& binding) const;
  // Runs the model once. An output that is null is allocated by the library and then the caller's; another
  // one is written in place. Throws Error(kInternal). Blocks until the outputs are written. Any thread.
  void run(const char* const* input_names, const ort::Value* const* inputs, std::size_t num_inputs,
           const char* const* output_names, std::size_t num_outputs, ort::Value** outputs) const;

 private:
  void check_run(ort::Status* status) const;

  std::shared_ptr<OnnxRuntime> runtime_;  // first: the session goes before its environment
  std::string model_path_;
  OnnxOwned<ort::RunOptions> run_options_;
  OnnxOwned<ort::Session> session_;
  OnnxMetadata metadata_;
};

}  // namespace naiad
