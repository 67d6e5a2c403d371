#include "backends/identity.h"

#include <string>
#include <utility>

#include "execute/device_batch.h"
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

// On a GPU the rows go there and back, and are copied once in between: what a network's would do, without the
// network.
class IdentityOnGpu final : public DeviceBackend {
 public:
  bool can_be_captured() const override { return true; }
  void enqueue(DeviceBatch& batch) override {
    for (std::size_t i = 0; i < batch.execution().model().inputs.size(); ++i) {
      Tensor tensor = batch.input(i);
      if (!tensor.present()) continue;
      if (tensor.owner && tensor.owner->device().kind == DeviceKind::kGpu) {
        BufferRef block = batch.allocate(tensor.size_bytes);
        check_device(batch.stream().copy_within(block->data(), tensor.bytes()), "copy within the GPU");
        tensor.data = block->data();
        tensor.owner = std::move(block);
      }
      batch.output(i, std::move(tensor));
    }
  }
};

}  // namespace

BackendFactory make_identity_factory() {
  return [](const InstanceSpec& instance) -> std::unique_ptr<Backend> {
    check_pairs(instance.model);
    if (instance.device.kind == DeviceKind::kCpu) return std::make_unique<IdentityBackend>();
    instance.on_gpu();  // refused now where there is none
    return std::make_unique<IdentityOnGpu>();
  };
}

}  // namespace naiad
