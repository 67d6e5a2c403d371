#include "backends/onnx_providers.h"

#include <algorithm>
#include <string_view>

namespace naiad {
namespace {

constexpr std::string_view kCuda = "CUDA";
constexpr std::string_view kTensorRt = "TensorRT";
constexpr std::string_view kOpenVino = "OpenVINO";
constexpr const char* kStream = "user_compute_stream";

// TensorRT's name among the available ones is spelt otherwise.
std::string library_name(std::string_view name) {
  return std::string(name == kTensorRt ? "Tensorrt" : name) + "ExecutionProvider";
}

struct Options {
  explicit Options(const OnnxProvider& provider) {
    for (const auto& [key, value] : provider.options) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }

  std::vector<const char*> keys;
  std::vector<const char*> values;
};

// What the library says of options is the fault of who wrote them.
void check(const OnnxRuntime& runtime, const OnnxProvider& provider, ort::Status* status) {
  if (status == nullptr) return;
  throw Error(Code::kInvalidArgument,
              "execution provider " + provider.name + ": " + runtime.take_message(status));
}

void append_cuda(const OnnxRuntime& runtime, ort::SessionOptions& to, const OnnxProvider& provider,
                 void* stream) {
  const ort::Api& api = runtime.api();
  const Options options(provider);
  ort::CudaOptions* made = nullptr;
  check(runtime, provider, api.create_cuda_options(&made));
  const auto owned = OnnxRuntime::own(made, api.release_cuda_options);
  check(runtime, provider,
        api.update_cuda_options(made, options.keys.data(), options.values.data(), options.keys.size()));
  if (stream != nullptr) {
    check(runtime, provider, api.update_cuda_options_with_value(made, kStream, stream));
  }
  check(runtime, provider, api.append_cuda(&to, made));
}

void append_tensor_rt(const OnnxRuntime& runtime, ort::SessionOptions& to, const OnnxProvider& provider,
                      void* stream) {
  const ort::Api& api = runtime.api();
  const Options options(provider);
  ort::TensorRtOptions* made = nullptr;
  check(runtime, provider, api.create_tensor_rt_options(&made));
  const auto owned = OnnxRuntime::own(made, api.release_tensor_rt_options);
  check(runtime, provider,
        api.update_tensor_rt_options(made, options.keys.data(), options.values.data(), options.keys.size()));
  if (stream != nullptr) {
    check(runtime, provider, api.update_tensor_rt_options_with_value(made, kStream, stream));
  }
  check(runtime, provider, api.append_tensor_rt(&to, made));
}

void append(const OnnxRuntime& runtime, ort::SessionOptions& to, const OnnxProvider& provider, void* stream) {
  const std::vector<std::string> available = available_providers(runtime);
  if (std::ranges::find(available, library_name(provider.name)) == available.end()) {
    std::string listed;
    for (const std::string& name : available) listed += (listed.empty() ? "" : ", ") + name;
    throw Error(Code::kUnsupported, "the installed ONNX Runtime " + runtime.version() + " has no " +
                                        library_name(provider.name) + "; it has " + listed);
  }
  if (provider.name == kCuda) return append_cuda(runtime, to, provider, stream);
  if (provider.name == kTensorRt) return append_tensor_rt(runtime, to, provider, stream);
  const Options options(provider);
  check(runtime, provider,
        runtime.api().append_open_vino(&to, options.keys.data(), options.values.data(), options.keys.size()));
}

}  // namespace

std::vector<std::string> available_providers(const OnnxRuntime& runtime) {
  char** names = nullptr;
  int count = 0;
  runtime.check(runtime.api().available_providers(&names, &count));
  std::vector<std::string> list(names, names + count);
  runtime.check(runtime.api().release_available_providers(names, count));
  return list;
}

void append_providers(const OnnxRuntime& runtime, ort::SessionOptions& session_options, const Device& device,
                      const std::vector<OnnxProvider>& providers, void* stream) {
  OnnxProvider cuda{DeviceKind::kGpu, std::string(kCuda), {}};
  for (OnnxProvider provider : providers) {
    if (provider.device != device.kind) continue;
    if (provider.name != kCuda && provider.name != kTensorRt && provider.name != kOpenVino) {
      throw Error(Code::kUnsupported, "there is no execution provider '" + provider.name + "'");
    }
    if (provider.name == kCuda) {
      cuda.options = std::move(provider.options);
      continue;
    }
    if (device.kind == DeviceKind::kGpu)
      provider.options.emplace_back("device_id", std::to_string(device.id));
    append(runtime, session_options, provider, stream);
  }
  if (device.kind != DeviceKind::kGpu) return;
  cuda.options.emplace_back("device_id", std::to_string(device.id));
  append(runtime, session_options, cuda, stream);
}

}  // namespace naiad
