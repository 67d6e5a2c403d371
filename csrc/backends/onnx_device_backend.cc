#include "backends/onnx_device_backend.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backends/onnx_binding.h"
#include "backends/onnx_value_buffer.h"
#include "backends/onnx_values.h"
#include "execute/device_batch.h"

namespace naiad {
namespace {

class OnnxDeviceBackend final : public DeviceBackend {
 public:
  OnnxDeviceBackend(const ModelSpec& model, std::shared_ptr<const OnnxSession> session, const Device& device)
      : model_(model),
        session_(std::move(session)),
        runtime_(*session_->runtime()),
        device_(device),
        bindings_(OnnxBindings::make(model, session_->metadata())),
        bound_(session_->make_binding()) {
    ort::MemoryInfo* made = nullptr;
    runtime_.check(runtime_.api().create_memory_info("Cuda", ort::kDeviceAllocator, device.id,
                                                     ort::kMemTypeDefault, &made));
    gpu_memory_ = OnnxRuntime::own(made, runtime_.api().release_memory_info);
  }

  void enqueue(DeviceBatch& batch) override {
    const Clearing clearing{*this};
    for (std::size_t i = 0; i < bindings_.inputs.size(); ++i) bind_input(batch, i);
    for (const OnnxBinding& output : bindings_.outputs) {
      runtime_.check(
          runtime_.api().bind_output_to_device(bound_.get(), output.name.c_str(), gpu_memory_.get()));
    }
    // The work is queued when it returns; what was bound is read later, and kept by the batch until then.
    session_->run(*bound_);
    take_outputs(batch);
  }

 private:
  // Lets go of what was bound for a batch however that ends.
  struct Clearing {
    OnnxDeviceBackend& backend;
    ~Clearing() {
      backend.runtime_.api().clear_bound_inputs(backend.bound_.get());
      backend.runtime_.api().clear_bound_outputs(backend.bound_.get());
      backend.inputs_.clear();
    }
  };

  void bind_input(DeviceBatch& batch, std::size_t index) {
    const OnnxBinding& binding = bindings_.inputs[index];
    Tensor tensor = batch.input(index);
    if (!tensor.present()) {
      if (binding.has_default) return;  // the library takes the file's own value
      throw absent_input(model_, binding);
    }
    const bool is_on_gpu = tensor.owner && tensor.owner->device().kind == DeviceKind::kGpu;
    const ort::MemoryInfo* const memory = is_on_gpu ? gpu_memory_.get() : runtime_.host_memory();
    const auto value = value_over(runtime_, *memory, tensor.bytes(), binding.scalar ? Shape{} : tensor.shape,
                                  binding.element);
    runtime_.check(runtime_.api().bind_input(bound_.get(), binding.name.c_str(), value.get()));
    batch.keep(tensor.owner);
    inputs_.push_back(std::move(tensor));
  }

  void take_outputs(DeviceBatch& batch) {
    ort::Value** list = nullptr;
    std::size_t count = 0;
    runtime_.check(runtime_.api().bound_output_values(bound_.get(), runtime_.allocator(), &list, &count));
    std::vector<OnnxOwned<ort::Value>> values;
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(OnnxRuntime::own(list[i], runtime_.api().release_value));
    }
    runtime_.check(runtime_.api().allocator_free(runtime_.allocator(), static_cast<void*>(list)));
    if (count != bindings_.outputs.size()) {
      throw Error(Code::kInternal, "ONNX Runtime: model '" + model_.name + "' gave " + std::to_string(count) +
                                       " outputs, expected " + std::to_string(bindings_.outputs.size()));
    }
    for (std::size_t i = 0; i < count; ++i) batch.output(i, tensor_of(i, std::move(values[i])));
  }

  Tensor tensor_of(std::size_t index, OnnxOwned<ort::Value> value) const {
    Shape shape = shape_of(runtime_, *value);
    const DataType dtype = model_.outputs[index].dtype;
    const std::size_t size_bytes = shape.size_bytes(dtype).value_or(0);
    if (bindings_.outputs[index].scalar && shape.empty()) shape = Shape{1};
    void* data = nullptr;
    runtime_.check(runtime_.api().tensor_mutable_data(value.get(), &data));
    BufferRef owner = input_owner(static_cast<const std::byte*>(data));
    if (!owner) owner = make_onnx_value_buffer(session_, std::move(value), size_bytes, device_);
    return {dtype, shape, static_cast<const std::byte*>(data), size_bytes, std::move(owner)};
  }

  // The owner of the input that `data` lies in: a graph whose output is an input gives our own bytes back.
  BufferRef input_owner(const std::byte* data) const {
    for (const Tensor& input : inputs_) {
      const std::less<const std::byte*> before;
      if (!before(data, input.data) && before(data, input.data + input.size_bytes)) return input.owner;
    }
    return {};
  }

  const ModelSpec& model_;
  std::shared_ptr<const OnnxSession> session_;
  const OnnxRuntime& runtime_;
  const Device device_;
  const OnnxBindings bindings_;
  OnnxOwned<ort::MemoryInfo> gpu_memory_;
  OnnxOwned<ort::IoBinding> bound_;  // to the batch in enqueue()
  std::vector<Tensor> inputs_;       // of that batch
};

}  // namespace

std::unique_ptr<Backend> make_onnx_device_backend(const ModelSpec& model,
                                                  std::shared_ptr<const OnnxSession> session,
                                                  const Device& device) {
  return std::make_unique<OnnxDeviceBackend>(model, std::move(session), device);
}

}  // namespace naiad
