#include "backends/onnx_binding.h"

#include <algorithm>

namespace naiad {
namespace {

const OnnxTensor* find(const std::vector<OnnxTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const OnnxTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::string names_of(const std::vector<OnnxTensor>& tensors) {
  std::string names;
  for (const OnnxTensor& tensor : tensors) names += (names.empty() ? "" : ", ") + tensor.name;
  return names;
}

// What the model itself sees: reshape before dims, the batch dimension in front.
Shape configured_shape(const ModelSpec& model, const TensorSpec& spec) {
  Shape shape;
  if (spec.ragged) return Shape{-1};
  if (model.batches() && !spec.generated) shape.push_back(-1);
  for (const std::int64_t dim : spec.reshape ? *spec.reshape : spec.dims) shape.push_back(dim);
  return shape;
}

// Lays one configured tensor beside the file's; the texts follow Triton's.
class Match {
 public:
  Match(const ModelSpec& model, const TensorSpec& spec, const OnnxTensor& tensor)
      : model_(model), spec_(spec), tensor_(tensor), configured_(configured_shape(model, spec)) {}

  OnnxBinding binding() const {
    check_dtype();
    OnnxBinding binding;
    binding.name = spec_.name;
    binding.element = dtype_to_onnx(spec_.dtype);
    binding.dims = tensor_.dims;
    binding.scalar = is_scalar();
    if (!binding.scalar) check_shape();
    const std::size_t first = has_rows() ? 1 : 0;
    const auto fixed = tensor_.dims.dims().subspan(std::min(first, tensor_.dims.rank()));
    // Rank 0 is also what a file without any shape looks like: nothing is known then.
    binding.shape_known = !tensor_.dims.empty() && spec_.dtype != DataType::kBytes &&
                          std::all_of(fixed.begin(), fixed.end(), [](std::int64_t dim) { return dim >= 0; });
    return binding;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Code::kInvalidArgument, "unable to load model '" + model_.name + "': model '" + model_.name +
                                            "', tensor '" + spec_.name + "': " + what);
  }

  void check_dtype() const {
    if (tensor_.dtype == DataType::kInvalid) {
      refuse("the model's type is not a tensor of a type that can be served, expected " +
             std::string(dtype_name(spec_.dtype)));
    }
    if (tensor_.dtype == spec_.dtype) return;
    refuse("the model expects data-type " + std::string(dtype_name(tensor_.dtype)) +
           " but the model configuration specifies data-type " + std::string(dtype_name(spec_.dtype)));
  }

  // The protocol has no scalars: [1] stands for one, as in Triton.
  bool is_scalar() const {
    return tensor_.dims.empty() && !model_.batches() && configured_.rank() == 1 && configured_[0] == 1;
  }

  void check_shape() const {
    const Shape& dims = tensor_.dims;
    if (has_rows() && (dims.empty() || dims[0] != -1)) {
      refuse(
          "For the model to support batching the shape should have at least 1 dimension and the first "
          "dimension must be -1; but shape expected by the model is " +
          dims.to_string());
    }
    if (dims.empty()) return;  // the file declares no shape
    if (dims.rank() != configured_.rank()) {
      refuse("the model expects " + std::to_string(dims.rank()) + " dimensions (shape " + dims.to_string() +
             ") but the model configuration specifies " + std::to_string(configured_.rank()) +
             " dimensions (" + configured_text() + ")");
    }
    for (std::size_t i = 0; i < dims.rank(); ++i) {
      if (dims[i] == -1 || dims[i] == configured_[i]) continue;
      refuse("the model expects shape " + dims.to_string() + " but the model configuration specifies " +
             configured_text());
    }
  }

  bool has_rows() const { return model_.batches() && !spec_.ragged && !spec_.generated; }

  std::string configured_text() const {
    if (!model_.batches()) return "shape " + configured_.to_string();
    return "an initial batch dimension because max_batch_size > 0 therefore making the complete shape " +
           configured_.to_string();
  }

  const ModelSpec& model_;
  const TensorSpec& spec_;
  const OnnxTensor& tensor_;
  Shape configured_;
};

[[noreturn]] void refuse_name(const ModelSpec& model, const std::string& kind, const std::string& name,
                              const std::vector<OnnxTensor>& known) {
  throw Error(Code::kInvalidArgument, "unable to load model '" + model.name + "': unexpected inference " +
                                          kind + " '" + name + "', allowed " + kind +
                                          "s are: " + names_of(known));
}

std::vector<OnnxBinding> bind_inputs(const ModelSpec& model, const OnnxMetadata& metadata) {
  std::vector<OnnxBinding> bindings;
  for (const TensorSpec& spec : model.inputs) {
    const OnnxTensor* tensor = find(metadata.inputs, spec.name);
    const OnnxTensor* defaulted = find(metadata.defaulted_inputs, spec.name);
    if (tensor == nullptr && defaulted == nullptr) refuse_name(model, "input", spec.name, metadata.inputs);
    bindings.push_back(Match(model, spec, tensor != nullptr ? *tensor : *defaulted).binding());
    bindings.back().has_default = tensor == nullptr;
  }
  for (const OnnxTensor& tensor : metadata.inputs) {
    if (model.input_index(tensor.name)) continue;
    throw Error(Code::kInvalidArgument, "unable to load model '" + model.name + "', configuration expects " +
                                            std::to_string(model.inputs.size()) + " inputs, model provides " +
                                            std::to_string(metadata.inputs.size()) + ": input '" +
                                            tensor.name + "' is missing in the configuration");
  }
  return bindings;
}

std::vector<OnnxBinding> bind_outputs(const ModelSpec& model, const OnnxMetadata& metadata) {
  std::vector<OnnxBinding> bindings;
  for (const TensorSpec& spec : model.outputs) {
    const OnnxTensor* tensor = find(metadata.outputs, spec.name);
    if (tensor == nullptr) refuse_name(model, "output", spec.name, metadata.outputs);
    bindings.push_back(Match(model, spec, *tensor).binding());
    // An output that is an input is handed back by the library as that input, and never written in place.
    if (find(metadata.inputs, spec.name) != nullptr) bindings.back().shape_known = false;
    if (find(metadata.defaulted_inputs, spec.name) != nullptr) bindings.back().shape_known = false;
    for (const BatchOutput& scattered : model.batch_outputs) {
      if (&model.outputs[scattered.output] == &spec) bindings.back().shape_known = false;
    }
  }
  return bindings;
}

}  // namespace

Error absent_input(const ModelSpec& model, const OnnxBinding& binding) {
  return {Code::kInvalidArgument, "input '" + binding.name + "' of model '" + model.name +
                                      "' is absent, but the ONNX model has no value of its own for it"};
}

OnnxBindings OnnxBindings::make(const ModelSpec& model, const OnnxMetadata& metadata) {
  return {bind_inputs(model, metadata), bind_outputs(model, metadata)};
}

}  // namespace naiad
