#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backends/onnxruntime_api.h"
#include "base/dtype.h"
#include "base/error.h"

namespace naiad {

// One object of the library, given back with its own release function.
template <class T>
struct OnnxRelease {
  void (*release)(T*) = nullptr;
  void operator()(T* object) const { release(object); }
};
template <class T>
using OnnxOwned = std::unique_ptr<T, OnnxRelease<T>>;

// The loaded ONNX Runtime library and its environment. The composition root makes one and shares it with
// every model; sessions and output buffers hold a share, so the environment outlives them.
class OnnxRuntime {
 public:
  // Threads that all sessions share, of one operator and side by side; 0: the library chooses.
  struct GlobalThreads {
    int intra_op = 0;
    int inter_op = 0;
  };

  // Loads the library (libonnxruntime.so.1.*) and makes its environment, with `threads` for sessions that use
  // them. Throws Error(kUnavailable) when it
  // cannot be loaded and Error(kUnsupported) when it is older than API version 17. Blocks until it is loaded.
  static std::shared_ptr<OnnxRuntime> open(const std::string& library_path,
                                           const std::optional<GlobalThreads>& threads = std::nullopt);

  // Over what the library named `file` exports; throws as open() does. Any thread.
  static std::shared_ptr<OnnxRuntime> make(const ort::ApiBase& base, const std::string& file,
                                           const std::optional<GlobalThreads>& threads = std::nullopt);

  // Over a table of GetApi(17); open() and make() are the ways to get one.
  OnnxRuntime(const void* const* table, std::string version,
              const std::optional<GlobalThreads>& threads = std::nullopt);
  OnnxRuntime(const OnnxRuntime&) = delete;
  OnnxRuntime& operator=(const OnnxRuntime&) = delete;
  ~OnnxRuntime() = default;

  // Any thread.
  const ort::Api& api() const { return api_; }
  // Any thread.
  ort::Env* env() const { return env_.get(); }
  // Describes plain host memory. Any thread.
  const ort::MemoryInfo* host_memory() const { return host_memory_.get(); }
  // The library's own allocator. Any thread.
  ort::Allocator* allocator() const { return allocator_; }
  // "1.32.0". Any thread.
  const std::string& version() const { return version_; }

  // Takes `object` over. Any thread.
  template <class T>
  static OnnxOwned<T> own(T* object, void (*release)(T*)) {
    return OnnxOwned<T>(object, OnnxRelease<T>{release});
  }

  // The text of a failed status, which is freed, without the paths of the library's own source files. Any
  // thread.
  std::string take_message(ort::Status* status) const;

  // Throws Error(kInternal) when `status` is not success. Any thread.
  void check(ort::Status* status) const {
    if (status != nullptr) throw Error(Code::kInternal, "ONNX Runtime: " + take_message(status));
  }

 private:
  ort::Env* make_env(const std::optional<GlobalThreads>& threads) const;

  ort::Api api_;
  std::string version_;
  OnnxOwned<ort::Env> env_;
  OnnxOwned<ort::MemoryInfo> host_memory_;
  ort::Allocator* allocator_ = nullptr;
};

// naiad's type for an element type of the library; kInvalid where there is none (complex, float8, int4). Any
// thread.
DataType dtype_from_onnx(ort::ElementType type);

// The element type of the library for a dtype; kUndefined for kInvalid. Any thread.
ort::ElementType dtype_to_onnx(DataType dtype);

// `message` without any absolute path to a C++ source file, and with `path` and everything else in its folder
// shortened to the file name. Any thread.
std::string without_paths(std::string message, std::string_view path);

}  // namespace naiad
