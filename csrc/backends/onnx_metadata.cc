#include "backends/onnx_metadata.h"

#include "backends/onnx_session.h"

namespace naiad {
namespace {

using CountFunction = ort::Status* (*)(const ort::Session*, std::size_t*);
using NameFunction = ort::Status* (*)(const ort::Session*, std::size_t, ort::Allocator*, char**);
using TypeFunction = ort::Status* (*)(const ort::Session*, std::size_t, ort::TypeInfo**);

// A text that the library allocated, as a string of ours.
std::string take_text(const OnnxRuntime& runtime, char* text) {
  std::string copy = text != nullptr ? text : "";
  runtime.check(runtime.api().allocator_free(runtime.allocator(), text));
  return copy;
}

void read_type(const OnnxRuntime& runtime, const ort::TypeInfo& type, OnnxTensor& tensor) {
  const ort::Api& api = runtime.api();
  auto kind = ort::OnnxType(0);
  runtime.check(api.onnx_type(&type, &kind));
  if (kind != ort::kTensorType) return;  // a sequence, map or optional: dtype stays kInvalid
  const ort::TensorTypeAndShapeInfo* tensor_type = nullptr;  // part of `type`
  runtime.check(api.cast_to_tensor_type(&type, &tensor_type));
  ort::ElementType element = ort::kUndefined;
  runtime.check(api.tensor_element_type(tensor_type, &element));
  std::size_t rank = 0;
  runtime.check(api.tensor_rank(tensor_type, &rank));
  std::vector<std::int64_t> dims(rank);
  runtime.check(api.tensor_dims(tensor_type, dims.data(), rank));
  tensor.dtype = dtype_from_onnx(element);
  tensor.dims = Shape(dims);
}

std::vector<OnnxTensor> read_tensors(const OnnxRuntime& runtime, const ort::Session& session,
                                     CountFunction count_of, NameFunction name_of, TypeFunction type_of) {
  std::size_t count = 0;
  runtime.check(count_of(&session, &count));
  std::vector<OnnxTensor> tensors(count);
  for (std::size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    runtime.check(name_of(&session, i, runtime.allocator(), &name));
    tensors[i].name = take_text(runtime, name);
    ort::TypeInfo* made = nullptr;
    runtime.check(type_of(&session, i, &made));
    const auto type = OnnxRuntime::own(made, runtime.api().release_type_info);
    read_type(runtime, *type, tensors[i]);
  }
  return tensors;
}

std::map<std::string, std::string> read_custom(const OnnxRuntime& runtime, const ort::Session& session) {
  const ort::Api& api = runtime.api();
  ort::ModelMetadata* made = nullptr;
  runtime.check(api.session_metadata(&session, &made));
  const auto metadata = OnnxRuntime::own(made, api.release_model_metadata);
  char** keys = nullptr;
  std::int64_t count = 0;
  runtime.check(api.metadata_keys(made, runtime.allocator(), &keys, &count));
  std::map<std::string, std::string> custom;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string key = take_text(runtime, keys[i]);
    char* value = nullptr;
    runtime.check(api.metadata_lookup(made, runtime.allocator(), key.c_str(), &value));
    custom[key] = take_text(runtime, value);
  }
  if (keys != nullptr) runtime.check(api.allocator_free(runtime.allocator(), static_cast<void*>(keys)));
  return custom;
}

}  // namespace

OnnxMetadata describe_onnx_session(const OnnxRuntime& runtime, const ort::Session& session) {
  const ort::Api& api = runtime.api();
  OnnxMetadata metadata;
  metadata.inputs =
      read_tensors(runtime, session, api.session_input_count, api.session_input_name, api.session_input_type);
  metadata.defaulted_inputs = read_tensors(runtime, session, api.session_initializer_count,
                                           api.session_initializer_name, api.session_initializer_type);
  metadata.outputs = read_tensors(runtime, session, api.session_output_count, api.session_output_name,
                                  api.session_output_type);
  metadata.custom = read_custom(runtime, session);
  return metadata;
}

OnnxMetadata read_onnx_metadata(const std::shared_ptr<OnnxRuntime>& runtime, const std::string& model_path) {
  OnnxOptions options;
  options.graph_level = ort::kDisableAll;
  return OnnxSession(runtime, model_path, options).metadata();
}

}  // namespace naiad
