#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/onnx_runtime.h"
#include "base/clock.h"
#include "execute/backend.h"
#include "execute/execution.h"
#include "memory/tensor_pool.h"

namespace naiad {

// The runtime that the environment names; fails the test, with how to set it, when there is none.
inline std::shared_ptr<OnnxRuntime> onnx_runtime_of_environment() {
  const char* path = std::getenv("NAIAD_TEST_ONNXRUNTIME");
  if (path == nullptr) {
    throw Error(Code::kNotFound,
                "set NAIAD_TEST_ONNXRUNTIME to libonnxruntime.so.1.* in the folder onnxruntime/capi of the "
                "installed Python package onnxruntime");
  }
  return OnnxRuntime::open(path);
}

inline std::string onnx_model_path(const std::string& name) {
  return "tests/cpp/backends/models/" + name + ".onnx";
}

template <class T>
Tensor tensor_of(DataType dtype, Shape shape, const std::vector<T>& values) {
  const std::size_t size_bytes = values.size() * sizeof(T);
  BufferRef owner = make_heap_buffer(size_bytes);
  if (size_bytes != 0) std::memcpy(owner->data(), values.data(), size_bytes);
  return {dtype, shape, owner->data(), size_bytes, owner};
}

inline Tensor bytes_tensor(Shape shape, const std::vector<std::string>& elements) {
  std::string wire;
  for (const std::string& element : elements) {
    for (unsigned i = 0; i < 4; ++i) wire += static_cast<char>(element.size() >> (8 * i));
    wire += element;
  }
  return tensor_of(DataType::kBytes, shape, std::vector<char>(wire.begin(), wire.end()));
}

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> values(tensor.size_bytes / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.data, tensor.size_bytes);
  return values;
}

inline TensorSpec spec_of(const std::string& name, DataType dtype, Shape dims) {
  TensorSpec spec;
  spec.name = name;
  spec.dtype = dtype;
  spec.dims = dims;
  return spec;
}

inline ModelSpec model_of(std::uint32_t max_batch_size, std::vector<TensorSpec> inputs,
                          std::vector<TensorSpec> outputs) {
  ModelSpec model;
  model.name = std::string("m");  // GCC 12 sees an overlap in the assignment of a literal (its bug 105651)
  model.max_batch_size = max_batch_size;
  model.inputs = std::move(inputs);
  model.outputs = std::move(outputs);
  return model;
}

// What a batch is made of; each request is its inputs.
inline std::vector<std::unique_ptr<Request>> requests_of(const std::shared_ptr<const ModelSpec>& model,
                                                         std::vector<std::vector<Tensor>> batch) {
  std::vector<std::unique_ptr<Request>> requests;
  for (std::vector<Tensor>& inputs : batch) {
    auto request = std::make_unique<Request>();
    request->spec = model;
    if (model->batches()) request->num_rows = static_cast<std::uint32_t>(inputs.front().shape[0]);
    request->inputs = std::move(inputs);
    request->wanted.assign(model->outputs.size(), true);
    requests.push_back(std::move(request));
  }
  return requests;
}

// One instance of a backend, and batches run through it.
class BatchRun {
 public:
  BatchRun(ModelSpec model, const BackendFactory& factory, Device device = {})
      : model_(std::make_shared<ModelSpec>(std::move(model))),
        backend_(factory({*model_, *pool_, "m_0_0", device})) {}

  // Runs one batch; each request is its inputs. The answers are read from what it returns.
  std::unique_ptr<Execution> run(std::vector<std::vector<Tensor>> batch) {
    auto execution =
        std::make_unique<Execution>(*model_, requests_of(model_, std::move(batch)), *pool_, clock_);
    backend_->execute(*execution);
    return execution;
  }

  TensorPool& pool() { return *pool_; }
  // Ends the instance.
  void end() { backend_.reset(); }

 private:
  std::unique_ptr<TensorPool> pool_ = make_arena_pool(1 << 24);
  std::shared_ptr<ModelSpec> model_;
  SteadyClock clock_;
  std::unique_ptr<Backend> backend_;
};

inline const Tensor& output_of(const Execution& execution, std::size_t k, std::size_t index) {
  for (const OutputTensor& output : execution.response(k).outputs) {
    if (output.index == index) return output.tensor;
  }
  throw Error(Code::kNotFound, "the response has no such output");
}

}  // namespace naiad
