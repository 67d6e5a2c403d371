#include "backends/onnx_session.h"

#include <utility>

namespace naiad {

OnnxSession::OnnxSession(std::shared_ptr<OnnxRuntime> runtime, const std::string& model_path,
                         const OnnxOptions& options, const Device& device,
                         const std::vector<OnnxProvider>& providers)
    : runtime_(std::move(runtime)), model_path_(model_path), run_options_(options.run_options(*runtime_)) {
  const ort::Api& api = runtime_->api();
  const auto session_options = options.session_options(*runtime_);
  append_providers(*runtime_, *session_options, device, providers);
  ort::Session* made = nullptr;
  ort::Status* status = api.create_session(runtime_->env(), model_path.c_str(), session_options.get(), &made);
  if (status != nullptr) {
    throw Error(Code::kInternal,
                "ONNX Runtime: " + without_paths(runtime_->take_message(status), model_path));
  }
  session_ = OnnxRuntime::own(made, api.release_session);
  metadata_ = describe_onnx_session(*runtime_, *session_);
}

void OnnxSession::run(const char* const* input_names, const ort::Value* const* inputs, std::size_t num_inputs,
                      const char* const* output_names, std::size_t num_outputs, ort::Value** outputs) const {
  ort::Status* status = runtime_->api().run(session_.get(), run_options_.get(), input_names, inputs,
                                            num_inputs, output_names, num_outputs, outputs);
  if (status != nullptr) {
    throw Error(Code::kInternal,
                "ONNX Runtime: " + without_paths(runtime_->take_message(status), model_path_));
  }
}

}  // namespace naiad
