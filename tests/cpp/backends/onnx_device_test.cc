#include <dlfcn.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "backends/onnxruntime_backend.h"
#include "batch_run.h"
#include "execute/device_slot.h"
#include "fakes/fake_gpu.h"

namespace naiad {
namespace {

using test::FakeGpu;

constexpr std::size_t kTableSize = 276;

// The installed library, told that it has CUDA: memory "of the GPU" is that of a FakeGpu, so the library's
// CPU kernels compute there. What it is asked for is noted. One test at a time.
class CudaLibrary {
 public:
  static inline std::vector<std::string> log;
  static inline FakeGpu* gpu = nullptr;

  static std::shared_ptr<OnnxRuntime> open() {
    log.clear();
    const char* path = std::getenv("NAIAD_TEST_ONNXRUNTIME");
    REQUIRE(path != nullptr);
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    const auto base = reinterpret_cast<const ort::ApiBase* (*)()>(dlsym(library, "OrtGetApiBase"))();
    real_ = base->get_api(ort::kApiVersion);
    std::copy_n(real_, kTableSize, table_.begin());
    put(68, &create_memory_info);
    put(125, &available_providers);
    put(126, &release_available_providers);
    put(133, &run_with_binding);
    put(165, &add_run_config_entry);
    put(204, &append_cuda);
    put(205, &create_cuda_options);
    put(206, &update_cuda_options);
    put(208, &release_cuda_options);
    put(263, &update_cuda_options_with_value);
    return std::make_shared<OnnxRuntime>(table_.data(), "1.99.0");
  }

 private:
  template <class Function>
  static void put(std::size_t index, Function* function) {
    table_[index] = reinterpret_cast<const void*>(function);
  }
  static ort::Api real() { return ort::Api(real_); }

  static ort::Status* create_memory_info(const char* name, ort::AllocatorType, int device, ort::MemType,
                                         ort::MemoryInfo** made) {
    log.push_back(std::string("memory of ") + name + " " + std::to_string(device));
    return real().create_cpu_memory_info(ort::kDeviceAllocator, ort::kMemTypeDefault, made);
  }
  static ort::Status* available_providers(char*** names, int* count) {
    static std::array<char*, 2> list = {const_cast<char*>("CUDAExecutionProvider"),
                                        const_cast<char*>("CPUExecutionProvider")};
    *names = list.data();
    *count = 2;
    return nullptr;
  }
  static ort::Status* release_available_providers(char**, int) { return nullptr; }
  static ort::Status* run_with_binding(ort::Session* session, const ort::RunOptions* options,
                                       const ort::IoBinding* binding) {
    log.emplace_back(options != nullptr ? "run" : "run without options");
    gpu->work_off();  // what is on the stream before comes before
    return real().run_with_binding(session, options, binding);
  }
  static ort::Status* add_run_config_entry(ort::RunOptions* options, const char* key, const char* value) {
    log.push_back(std::string(key) + "=" + value);
    return real().add_run_config_entry(options, key, value);
  }
  static ort::Status* append_cuda(ort::SessionOptions*, const ort::CudaOptions*) { return nullptr; }
  static ort::Status* create_cuda_options(ort::CudaOptions** made) {
    *made = reinterpret_cast<ort::CudaOptions*>(&log);
    return nullptr;
  }
  static ort::Status* update_cuda_options(ort::CudaOptions*, const char* const* keys,
                                          const char* const* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) log.push_back(std::string(keys[i]) + "=" + values[i]);
    return nullptr;
  }
  static void release_cuda_options(ort::CudaOptions*) {}
  static ort::Status* update_cuda_options_with_value(ort::CudaOptions*, const char* key, void* value) {
    log.push_back(std::string(key) + (value == stream ? " is ours" : " is another"));
    return nullptr;
  }

  static inline std::array<const void*, kTableSize> table_{};
  static inline const void* const* real_ = nullptr;

 public:
  static inline void* stream = nullptr;
};

bool noted(const std::string& what) {
  return std::ranges::find(CudaLibrary::log, what) != CudaLibrary::log.end();
}

// One instance on a FakeGpu, and batches that go through its slot.
class DeviceRun {
 public:
  DeviceRun(ModelSpec model, const std::string& file)
      : model_(std::make_shared<ModelSpec>(std::move(model))) {
    CudaLibrary::gpu = gpu.get();
    CudaLibrary::stream = streams_.place.stream->native();
    InstanceSpec spec{*model_, *pool_, "m_0_0", {DeviceKind::kGpu, 0}};
    spec.on_gpu = [this]() -> const DevicePlace& { return streams_.place; };
    backend_ = make_onnxruntime_factory(CudaLibrary::open(), onnx_model_path(file), {})(spec);
    REQUIRE(backend_->on_device() != nullptr);
  }

  std::unique_ptr<Execution> run(std::vector<std::vector<Tensor>> batch) {
    auto execution =
        std::make_unique<Execution>(*model_, requests_of(model_, std::move(batch)), *pool_, clock_);
    slot_.start(*backend_->on_device(), *execution);
    CHECK(slot_.finish(*backend_->on_device()));
    return execution;
  }

  std::shared_ptr<FakeGpu> gpu = std::make_shared<FakeGpu>();

 private:
  const std::shared_ptr<const ModelSpec> model_;
  SteadyClock clock_;
  std::unique_ptr<TensorPool> pool_ = make_arena_pool(1 << 24);
  DevicePool gpu_memory_{gpu};
  DeviceStreams streams_ =
      DeviceStreams::make(gpu_memory_, std::make_shared<DeviceBudget>("model 'm'"), StreamPriority::kDefault);
  DeviceSlot slot_{streams_, 0};
  std::unique_ptr<Backend> backend_;
};

TensorSpec sixteen(const std::string& name) {
  return spec_of(name, DataType::kInt32, {16});
}

Tensor row(std::int32_t value, std::size_t size = 16) {
  return tensor_of(DataType::kInt32, {1, static_cast<std::int64_t>(size)},
                   std::vector<std::int32_t>(size, value));
}

std::vector<std::int32_t> all(std::int32_t value) {
  return std::vector<std::int32_t>(16, value);
}

TEST_CASE("onnx on a device: a batch is bound where it lies, and queued on the stream of the instance") {
  DeviceRun runs(
      model_of(8, {sixteen("INPUT0"), sixteen("INPUT1")}, {sixteen("OUTPUT0"), sixteen("OUTPUT1")}),
      "simple");
  CHECK(noted("memory of Cuda 0"));
  CHECK(noted("device_id=0"));
  CHECK(noted("user_compute_stream is ours"));
  CHECK(noted("disable_synchronize_execution_providers=1"));
  for (int again = 0; again < 2; ++again) {
    const auto done = runs.run({{row(3), row(1)}, {row(30), row(10)}});
    CHECK(values_of<std::int32_t>(output_of(*done, 0, 0)) == all(4));
    CHECK(values_of<std::int32_t>(output_of(*done, 1, 0)) == all(40));
    CHECK(values_of<std::int32_t>(output_of(*done, 1, 1)) == all(20));
  }
  CHECK(std::ranges::count(CudaLibrary::log, "run") == 2);
}

TEST_CASE("onnx on a device: an output that is an input") {
  DeviceRun runs(model_of(4, {spec_of("x", DataType::kFp32, {2})}, {spec_of("x", DataType::kFp32, {2})}),
                 "passed_through");
  const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1, 2}, {5, 6})}});
  CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{5, 6});
}

TEST_CASE("onnx on a device: an output whose shape is computed") {
  DeviceRun runs(
      model_of(0, {spec_of("x", DataType::kFp32, {-1})}, {spec_of("at", DataType::kInt64, {1, -1})}),
      "nonzero");
  const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {4}, {0, 7, 0, 7})}});
  CHECK(values_of<std::int64_t>(output_of(*done, 0, 0)) == std::vector<std::int64_t>{1, 3});
}

TEST_CASE("onnx on a device: what the library refuses fails the batch, and the next one runs") {
  DeviceRun runs(
      model_of(8, {sixteen("INPUT0"), sixteen("INPUT1")}, {sixteen("OUTPUT0"), sixteen("OUTPUT1")}),
      "simple");
  const auto failed = runs.run({{row(3), row(1, 15)}});
  CHECK(failed->response(0).status.message().starts_with("ONNX Runtime: "));
  const auto done = runs.run({{row(3), row(1)}});
  CHECK(values_of<std::int32_t>(output_of(*done, 0, 0)) == all(4));
}

}  // namespace
}  // namespace naiad
