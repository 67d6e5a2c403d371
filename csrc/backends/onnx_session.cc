#include "backends/onnx_session.h"

#include <utility>

namespace naiad {

OnnxSession::OnnxSession(std::shared_ptr<OnnxRuntime> runtime, const std::string& model_path,
                         const OnnxOptions& options, const Device& device,
                         const std::vector<OnnxProvider>& providers, void* stream)
    : runtime_(std::move(runtime)),
      model_path_(model_path),
      run_options_(options.run_options(*runtime_, stream == nullptr)) {
  const ort::Api& api = runtime_->api();
  const auto session_options = options.session_options(*runtime_);
  append_providers(*runtime_, *session_options, device, providers, stream);
  ort::Session* made = nullptr;
  ort::Status* status = api.create_session(runtime_->env(), model_path.c_str(), session_options.get(), &made);
  if (status != nullptr) {
    throw Error(Code::kInternal,
                "ONNX Runtime: " + without_paths(runtime_->take_message(status), model_path));
  }
  session_ = OnnxRuntime::own(made, api.release_session);
  metadata_ = describe_onnx_session(*runtime_, *session_);
}

OnnxOwned<ort::IoBinding> OnnxSession::make_binding() const {
  ort::IoBinding* made = nullptr;
  runtime_->check(runtime_->api().create_io_binding(session_.get(), &made));
  return OnnxRuntime::own(made, runtime_->api().release_io_binding);
}

void OnnxSession::run(const ort::IoBinding& binding) const {
  check_run(runtime_->api().run_with_binding(session_.get(), run_options_.get(), &binding));
}

void OnnxSession::run(const char* const* input_names, const ort::Value* const* inputs, std::size_t num_inputs,
                      const char* const* output_names, std::size_t num_outputs, ort::Value** outputs) const {
  check_run(runtime_->api().run(session_.get(), run_options_.get(), input_names, inputs, num_inputs,
                                output_names, num_outputs, outputs));
}

void OnnxSession::check_run(ort::Status* status) const {
  if (status != nullptr) {
    throw Error(Code::kInternal,
                "ONNX Runtime: " + without_paths(runtime_->take_message(status), model_path_));
  }
}

}  // namespace naiad
