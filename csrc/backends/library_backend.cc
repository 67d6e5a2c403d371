#include "backends/library_backend.h"

#include <dlfcn.h>

#include <deque>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/sdk/naiad/backend.h"
#include "base/log.h"
#include "execute/execution.h"

// What the contract leaves open: a batch is an Execution and its outputs, which go out when the library is
// done with them.
struct naiad_batch {
  struct Output {
    std::size_t index;
    naiad::Tensor tensor;
  };
  struct OwnOutput {
    std::size_t request;
    Output output;
  };

  explicit naiad_batch(naiad::Execution& given) : execution(given) {}

  naiad::Execution& execution;
  std::deque<naiad::Tensor> inputs{};  // those that were asked for: the library has their shapes
  std::vector<Output> outputs{};
  std::vector<OwnOutput> own_outputs{};
};

namespace naiad {
namespace {

void put(naiad_error* error, std::string_view text) {
  if (error == nullptr) return;
  const std::size_t size = text.copy(std::data(error->message), std::size(error->message) - 1);
  error->message[size] = '\0';
}

Code code_of(int code) {
  if (code <= 0 || code > static_cast<int>(Code::kUnknown)) return Code::kInternal;
  return static_cast<Code>(code);
}

std::string text_of(const naiad_error& error) {
  const std::string_view all(std::data(error.message), std::size(error.message));
  return std::string(all.substr(0, all.find('\0')));
}

void show(const Tensor& tensor, naiad_tensor* shown) {
  *shown = {};
  if (!tensor.present()) return;
  shown->dtype = static_cast<std::uint32_t>(tensor.dtype);
  shown->rank = static_cast<std::uint32_t>(tensor.shape.rank());
  shown->shape = tensor.shape.data();
  shown->data = tensor.data;
  shown->size_bytes = tensor.size_bytes;
}

const naiad_server& the_server();

std::uint32_t num_requests(const naiad_batch* batch) {
  return static_cast<std::uint32_t>(batch->execution.num_requests());
}

std::uint32_t num_rows(const naiad_batch* batch) {
  return batch->execution.num_rows();
}

std::uint32_t num_rows_of(const naiad_batch* batch, std::uint32_t request) {
  if (request >= batch->execution.num_requests()) return 0;
  return batch->execution.request(request).num_rows;
}

int is_cancelled(const naiad_batch* batch, std::uint32_t request) {
  return request < batch->execution.num_requests() && batch->execution.request(request).is_cancelled() ? 1
                                                                                                       : 0;
}

int input(naiad_batch* batch, std::uint32_t index, naiad_tensor* tensor, naiad_error* error) {
  if (index >= batch->execution.model().inputs.size()) {
    put(error, "the model has no such input");
    return NAIAD_INVALID_ARGUMENT;
  }
  try {
    const Tensor& kept = batch->inputs.emplace_back(batch->execution.input(index));
    show(kept, tensor);
    return NAIAD_OK;
  } catch (const Error& failure) {
    put(error, failure.what());
    return static_cast<int>(failure.code());
  } catch (const std::exception& failure) {
    put(error, failure.what());
    return NAIAD_UNAVAILABLE;
  }
}

int input_of(naiad_batch* batch, std::uint32_t request, std::uint32_t index, naiad_tensor* tensor) {
  const Execution& execution = batch->execution;
  if (request >= execution.num_requests() || index >= execution.request(request).inputs.size()) {
    return NAIAD_INVALID_ARGUMENT;
  }
  show(execution.request(request).inputs[index], tensor);
  return NAIAD_OK;
}

// An output in memory of the pool. Throws Error.
Tensor make_output(const naiad_batch& batch, std::uint32_t index, const std::int64_t* shape,
                   std::uint32_t rank, std::uint64_t size_bytes) {
  const ModelSpec& model = batch.execution.model();
  if (index >= model.outputs.size()) throw Error(Code::kInvalidArgument, "the model has no such output");
  const DataType dtype = model.outputs[index].dtype;
  Shape made(std::span<const std::int64_t>(shape, rank));
  std::size_t needed = size_bytes;
  if (dtype != DataType::kBytes) {
    const auto computed = made.size_bytes(dtype);
    if (!computed || (size_bytes != 0 && size_bytes != *computed)) {
      throw Error(Code::kInvalidArgument, "output '" + model.outputs[index].name + "': shape " +
                                              made.to_string() + " does not have " +
                                              std::to_string(size_bytes) + " bytes");
    }
    needed = *computed;
  }
  BufferRef block = batch.execution.allocate(needed);
  return {dtype, std::move(made), block->data(), needed, std::move(block)};
}

std::byte* writable(const Tensor& tensor) {
  return tensor.owner->data();
}

void* output(naiad_batch* batch, std::uint32_t index, const std::int64_t* shape, std::uint32_t rank,
             std::uint64_t size_bytes, naiad_error* error) {
  try {
    const Execution& execution = batch->execution;
    Tensor made = make_output(*batch, index, shape, rank, size_bytes);
    if (execution.model().batches() && (rank == 0 || shape[0] != execution.num_rows())) {
      throw Error(Code::kInvalidArgument, "output '" + execution.model().outputs[index].name +
                                              "' has shape " + made.shape.to_string() + " for a batch of " +
                                              std::to_string(execution.num_rows()) + " rows");
    }
    return writable(batch->outputs.emplace_back(naiad_batch::Output{index, std::move(made)}).tensor);
  } catch (const std::exception& failure) {
    put(error, failure.what());
    return nullptr;
  }
}

void* output_of(naiad_batch* batch, std::uint32_t request, std::uint32_t index, const std::int64_t* shape,
                std::uint32_t rank, std::uint64_t size_bytes, naiad_error* error) {
  try {
    if (request >= batch->execution.num_requests()) throw Error(Code::kInvalidArgument, "no such request");
    naiad_batch::Output made{index, make_output(*batch, index, shape, rank, size_bytes)};
    return writable(
        batch->own_outputs.emplace_back(naiad_batch::OwnOutput{request, std::move(made)}).output.tensor);
  } catch (const std::exception& failure) {
    put(error, failure.what());
    return nullptr;
  }
}

void fail(naiad_batch* batch, std::uint32_t request, int code, const char* message) {
  if (request >= batch->execution.num_requests()) return;
  batch->execution.fail(request, {code_of(code), message != nullptr ? message : ""});
}

void log_line(int level, const char* message) {
  const std::string text = message != nullptr ? message : "";
  if (level >= NAIAD_LOG_ERROR)
    log_error(text);
  else if (level == NAIAD_LOG_WARNING)
    log_warning(text);
  else
    log_info(text);
}

const naiad_server& the_server() {
  static const naiad_server server{NAIAD_BACKEND_API, num_requests, num_rows, num_rows_of,
                                   is_cancelled,      input,        input_of, output,
                                   output_of,         fail,         log_line};
  return server;
}

class LibraryBackend final : public Backend {
 public:
  // Throws Error with what the library says of the model.
  LibraryBackend(const naiad_backend& library, const LibraryModel& model, const InstanceSpec& spec)
      : library_(library) {
    const char* const kind = spec.device.kind == DeviceKind::kGpu ? "GPU" : "CPU";
    const naiad_model told{spec.model.name.c_str(),
                           spec.model.version,
                           model.config_json.c_str(),
                           model.directory.c_str(),
                           model.options_json.c_str(),
                           spec.name.c_str(),
                           kind,
                           static_cast<std::int32_t>(spec.device.id)};
    naiad_error error{};
    if (const int code = library_.create(&told, &instance_, &error); code != NAIAD_OK) {
      throw Error(code_of(code), text_of(error));
    }
  }
  ~LibraryBackend() override { library_.destroy(instance_); }

  void execute(Execution& execution) override {
    naiad_batch batch(execution);
    naiad_error error{};
    const int code = library_.execute(instance_, &batch, &error);
    execution.outputs_ready();
    if (code != NAIAD_OK) throw Error(code_of(code), text_of(error));
    for (naiad_batch::Output& each : batch.outputs) execution.output(each.index, each.tensor);
    for (auto& [request, each] : batch.own_outputs) {
      execution.output(request, each.index, std::move(each.tensor));
    }
  }

 private:
  const naiad_backend& library_;
  void* instance_ = nullptr;
};

const naiad_backend& load(const std::string& library_path) {
  const std::string what =
      "backend library '" + std::filesystem::path(library_path).filename().string() + "'";
  // Never dlclosed: its threads and exit functions may outlive its models.
  void* const library = dlopen(library_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    std::string text = reason != nullptr ? reason : "unknown";
    if (const auto at = text.find(library_path); at != std::string::npos)
      text.erase(at, library_path.size() + 2);
    throw Error(Code::kUnavailable, what + " can't be loaded: " + text);
  }
  const auto entry = reinterpret_cast<naiad_backend_v1_function>(dlsym(library, "naiad_backend_v1"));
  if (entry == nullptr) throw Error(Code::kUnsupported, what + " does not export naiad_backend_v1");
  const naiad_backend* const backend = entry(&the_server());
  if (backend == nullptr || backend->api != NAIAD_BACKEND_API || backend->create == nullptr ||
      backend->execute == nullptr || backend->destroy == nullptr) {
    throw Error(Code::kUnsupported, what + " is not built for version " + std::to_string(NAIAD_BACKEND_API) +
                                        " of the contract of backends");
  }
  return *backend;
}

}  // namespace

BackendFactory make_library_factory(const std::string& library_path, LibraryModel model) {
  const naiad_backend& library = load(library_path);
  return [&library, model = std::move(model)](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    return std::make_unique<LibraryBackend>(library, model, spec);
  };
}

}  // namespace naiad
