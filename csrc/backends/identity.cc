#include "backends/identity.h"

#include <string>

#include "execute/execution.h"

namespace naiad {
namespace {

const Shape& model_dims(const TensorSpec& spec) {
  return spec.reshape ? *spec.reshape : spec.dims;
}

// Each output repeats the input at its position, so type and dims must be the same.
void check_pairs(const ModelSpec& model) {
  const std::string where = "unable to load model '" + model.name + "': identity ";
  if (model.inputs.size() != model.outputs.size()) {
    throw Error(Code::kInvalidArgument, where + "expects as many outputs as inputs, got " +
                                            std::to_string(model.inputs.size()) + " inputs and " +
                                            std::to_string(model.outputs.size()) + " outputs");
  }
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    const TensorSpec& input = model.inputs[i];
    const TensorSpec& output = model.outputs[i];
    if (input.dtype == output.dtype && model_dims(input) == model_dims(output)) continue;
    throw Error(Code::kInvalidArgument, where + "expects output '" + output.name + "' to be like input '" +
                                            input.name + "', got " + std::string(dtype_name(output.dtype)) +
                                            " " + model_dims(output).to_string() + ", expected " +
                                            std::string(dtype_name(input.dtype)) + " " +
                                            model_dims(input).to_string());
  }
}

class IdentityBackend final : public Backend {
 public:
  bool runs_on_any_thread() const override { return true; }

  void execute(Execution& execution) override {
    const std::size_t num_pairs = execution.model().inputs.size();
    std::vector<Tensor> tensors;
    tensors.reserve(num_pairs);
    for (std::size_t i = 0; i < num_pairs; ++i) tensors.push_back(execution.input(i));
    execution.inputs_ready();
    execution.outputs_ready();
    for (std::size_t i = 0; i < num_pairs; ++i) {
      if (tensors[i].present()) execution.output(i, tensors[i]);  // an absent optional input has no output
    }
  }
};

}  // namespace

BackendFactory make_identity_factory() {
  return [](const InstanceSpec& instance) -> std::unique_ptr<Backend> {
    if (instance.device.kind != DeviceKind::kCpu) {
      throw Error(Code::kUnsupported, "unable to load model '" + instance.model.name +
                                          "': identity has no KIND_GPU instances, expected KIND_CPU");
    }
    check_pairs(instance.model);
    return std::make_unique<IdentityBackend>();
  };
}

}  // namespace naiad
