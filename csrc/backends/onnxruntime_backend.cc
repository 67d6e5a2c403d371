#include "backends/onnxruntime_backend.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "backends/onnx_binding.h"
#include "backends/onnx_device_backend.h"
#include "backends/onnx_session.h"
#include "backends/onnx_strings.h"
#include "backends/onnx_value_buffer.h"
#include "backends/onnx_values.h"
#include "execute/execution.h"
#include "execute/gpu_place.h"

namespace naiad {
namespace {

// The sessions that the instances of a model share, while one of them lives. Each device has one of its own,
// and each place where instances are to run, as the library's threads are where their session was made.
class SharedSessions {
 public:
  SharedSessions(std::shared_ptr<OnnxRuntime> runtime, std::string model_path, OnnxOptions options,
                 std::vector<OnnxProvider> providers)
      : runtime_(std::move(runtime)),
        model_path_(std::move(model_path)),
        options_(std::move(options)),
        providers_(std::move(providers)) {}

  // Blocks until it is loaded. Any thread.
  std::shared_ptr<const OnnxSession> get(const ThreadPlace& place, const Device& device) {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<const OnnxSession>& known = sessions_[{place, {device.kind, device.id}}];
    std::shared_ptr<const OnnxSession> session = known.lock();
    if (session == nullptr) {
      session = make(place, device, nullptr);
      known = session;
    }
    return session;
  }

  // One whose work goes to a stream, and is that stream's alone. Blocks until it is loaded. Any thread.
  std::shared_ptr<const OnnxSession> make(const ThreadPlace& place, const Device& device,
                                          void* stream) const {
    OnnxOptions options = options_;
    // Left to the library, its threads would go to all processors.
    if (options.intra_op_thread_count == 0) {
      options.intra_op_thread_count = static_cast<int>(place.cpus.size());
    }
    return std::make_shared<const OnnxSession>(runtime_, model_path_, options, device, providers_, stream);
  }

 private:
  std::shared_ptr<OnnxRuntime> runtime_;
  std::string model_path_;
  OnnxOptions options_;
  std::vector<OnnxProvider> providers_;
  std::mutex mutex_;
  std::map<std::pair<ThreadPlace, std::pair<DeviceKind, int>>, std::weak_ptr<const OnnxSession>>
      sessions_;  // guarded by mutex_
};

// What a file declares of an output is a promise that the library does not check: a shape is only relied on
// once a run has kept it.
enum class Promise : unsigned char { kUntried, kKept, kBroken };

class OnnxRuntimeBackend final : public Backend {
 public:
  OnnxRuntimeBackend(const ModelSpec& model, std::shared_ptr<const OnnxSession> session)
      : model_(model),
        session_(std::move(session)),
        runtime_(*session_->runtime()),
        bindings_(OnnxBindings::make(model, session_->metadata())),
        promises_(bindings_.outputs.size(), Promise::kUntried) {
    for (const OnnxBinding& output : bindings_.outputs) output_names_.push_back(output.name.c_str());
  }

  bool runs_on_any_thread() const override { return true; }

  void execute(Execution& execution) override {
    const Clearing clearing{*this};
    for (std::size_t i = 0; i < bindings_.inputs.size(); ++i) add_input(execution, i);
    for (std::size_t i = 0; i < bindings_.outputs.size(); ++i) add_output(execution, i);
    execution.inputs_ready();
    run();
    execution.outputs_ready();
    for (std::size_t i = 0; i < bindings_.outputs.size(); ++i) {
      Tensor tensor = blocks_[i].present() ? std::move(blocks_[i]) : take_output(execution, i);
      if (bindings_.outputs[i].scalar && tensor.shape.empty()) tensor.shape = Shape{1};
      execution.output(i, tensor);
    }
  }

 private:
  // Lets go of the tensors of a batch however it ends.
  struct Clearing {
    OnnxRuntimeBackend& backend;
    ~Clearing() {
      backend.input_names_.clear();
      backend.inputs_.clear();
      backend.input_tensors_.clear();
      backend.owned_.clear();
      for (ort::Value*& output : backend.outputs_) {
        if (output != nullptr) backend.runtime_.api().release_value(std::exchange(output, nullptr));
      }
      backend.outputs_.clear();
      backend.blocks_.clear();
    }
  };

  void add_input(Execution& execution, std::size_t index) {
    const OnnxBinding& binding = bindings_.inputs[index];
    Tensor tensor = execution.input(index);
    if (!tensor.present()) {
      if (binding.has_default) return;  // the library takes the file's own value
      throw absent_input(model_, binding);
    }
    input_names_.push_back(binding.name.c_str());
    owned_.push_back(binding.element == ort::kString
                         ? string_value_from(runtime_, tensor, binding.name)
                         : value_over(runtime_, *runtime_.host_memory(), tensor.bytes(),
                                      binding.scalar ? Shape{} : tensor.shape, binding.element));
    inputs_.push_back(owned_.back().get());
    input_tensors_.push_back(std::move(tensor));
  }

  // A block for the output when its shape can be told beforehand: rows are then cut from pool memory. A null
  // value makes the library allocate.
  void add_output(Execution& execution, std::size_t index) {
    const OnnxBinding& binding = bindings_.outputs[index];
    blocks_.emplace_back();
    outputs_.push_back(nullptr);
    if (!binding.shape_known || promises_[index] != Promise::kKept) return;
    Shape shape = promised_shape(execution, binding);
    const DataType dtype = model_.outputs[index].dtype;
    const auto size_bytes = shape.size_bytes(dtype);
    if (!size_bytes) return;
    BufferRef block = execution.allocate(*size_bytes);
    outputs_.back() =
        value_over(runtime_, *runtime_.host_memory(), {block->data(), *size_bytes}, shape, binding.element)
            .release();
    blocks_.back() = {dtype, shape, block->data(), *size_bytes, std::move(block)};
  }

  void run() {
    try {
      run_once();
    } catch (const Error&) {
      // A kernel refuses a block of another shape than its own: the library says for itself where it failed.
      if (!withdraw_blocks()) throw;
      run_once();
    }
  }

  void run_once() {
    session_->run(input_names_.data(), inputs_.data(), inputs_.size(), output_names_.data(), outputs_.size(),
                  outputs_.data());
  }

  // Leaves every output to the library, until it keeps its promise again. False when it was so already.
  bool withdraw_blocks() {
    bool withdrawn = false;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (!blocks_[i].present()) continue;
      runtime_.api().release_value(std::exchange(outputs_[i], nullptr));
      blocks_[i] = {};
      promises_[i] = Promise::kUntried;
      withdrawn = true;
    }
    return withdrawn;
  }

  // Output `index` as the library allocated it, handed on without a copy.
  Tensor take_output(Execution& execution, std::size_t index) {
    const OnnxBinding& binding = bindings_.outputs[index];
    auto value = OnnxRuntime::own(std::exchange(outputs_[index], nullptr), runtime_.api().release_value);
    const Shape shape = shape_of(runtime_, *value);
    if (binding.element == ort::kString) return bytes_from(runtime_, *value, shape, execution);
    if (binding.shape_known && promises_[index] == Promise::kUntried) {
      promises_[index] = shape == promised_shape(execution, binding) ? Promise::kKept : Promise::kBroken;
    }
    const DataType dtype = model_.outputs[index].dtype;
    const std::size_t size_bytes = shape.size_bytes(dtype).value_or(0);
    void* data = nullptr;
    runtime_.check(runtime_.api().tensor_mutable_data(value.get(), &data));
    BufferRef owner = input_owner(static_cast<const std::byte*>(data));
    if (!owner) owner = make_onnx_value_buffer(session_, std::move(value), size_bytes);
    return {dtype, shape, static_cast<const std::byte*>(data), size_bytes, std::move(owner)};
  }

  // The owner of the input that `data` lies in: a graph whose output is an input hands our own bytes back,
  // and the library's value does not keep them alive. Empty for other bytes.
  BufferRef input_owner(const std::byte* data) const {
    for (const Tensor& input : input_tensors_) {
      const std::less<const std::byte*> before;
      if (!before(data, input.data) && before(data, input.data + input.size_bytes)) return input.owner;
    }
    return {};
  }

  Shape promised_shape(const Execution& execution, const OnnxBinding& binding) const {
    Shape shape = binding.dims;
    if (model_.batches()) shape[0] = execution.num_rows();
    return shape;
  }

  const ModelSpec& model_;
  std::shared_ptr<const OnnxSession> session_;
  const OnnxRuntime& runtime_;
  OnnxBindings bindings_;
  std::vector<Promise> promises_;
  std::vector<const char*> output_names_;

  // Of the batch that runs; kept between batches for their capacity.
  std::vector<const char*> input_names_;
  std::vector<Tensor> input_tensors_;
  std::vector<OnnxOwned<ort::Value>> owned_;  // input values
  std::vector<const ort::Value*> inputs_;
  std::vector<ort::Value*> outputs_;  // owned
  std::vector<Tensor> blocks_;        // by output; not present where the library allocates
};

// Texts are never on a GPU: the library copies what else such a model has.
bool has_texts(const ModelSpec& model) {
  const auto is_text = [](const TensorSpec& spec) { return spec.dtype == DataType::kBytes; };
  return std::ranges::any_of(model.inputs, is_text) || std::ranges::any_of(model.outputs, is_text);
}

}  // namespace

BackendFactory make_onnxruntime_factory(std::shared_ptr<OnnxRuntime> runtime, std::string model_path,
                                        const std::map<std::string, std::string>& options,
                                        std::vector<OnnxProvider> providers) {
  auto shared = std::make_shared<SharedSessions>(std::move(runtime), std::move(model_path),
                                                 OnnxOptions::parse(options), std::move(providers));
  return [shared](const InstanceSpec& instance) -> std::unique_ptr<Backend> {
    const DevicePlace* const place =
        has_texts(instance.model)
            ? nullptr
            : gpu_place(instance, "ONNX Runtime copies by itself, and each batch waits for that");
    if (place != nullptr) {
      return make_onnx_device_backend(instance.model,
                                      shared->make(instance.place, instance.device, place->stream->native()),
                                      instance.device);
    }
    return std::make_unique<OnnxRuntimeBackend>(instance.model, shared->get(instance.place, instance.device));
  };
}

}  // namespace naiad
