#include "backends/onnx_runtime.h"

#include <dlfcn.h>

#include <array>
#include <charconv>
#include <filesystem>

namespace naiad {
namespace {

struct DtypePair {
  DataType dtype;
  ort::ElementType onnx;
};

constexpr std::array<DtypePair, 14> kDtypes = {{{DataType::kBool, ort::kBool},
                                                {DataType::kUint8, ort::kUint8},
                                                {DataType::kUint16, ort::kUint16},
                                                {DataType::kUint32, ort::kUint32},
                                                {DataType::kUint64, ort::kUint64},
                                                {DataType::kInt8, ort::kInt8},
                                                {DataType::kInt16, ort::kInt16},
                                                {DataType::kInt32, ort::kInt32},
                                                {DataType::kInt64, ort::kInt64},
                                                {DataType::kFp16, ort::kFloat16},
                                                {DataType::kFp32, ort::kFloat},
                                                {DataType::kFp64, ort::kDouble},
                                                {DataType::kBytes, ort::kString},
                                                {DataType::kBf16, ort::kBfloat16}}};

// The second number of "1.32.0": ONNX Runtime counts its API version with its minor version.
std::uint32_t api_version_of(std::string_view version) {
  const std::size_t dot = version.find('.');
  std::uint32_t minor = 0;
  if (dot == std::string_view::npos || version.substr(0, dot) != "1") return 0;
  std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
  return minor;
}

std::string refusal(const std::string& file) {
  return "cannot use the ONNX Runtime library '" + file + "': ";
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

bool is_path_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("/._-+@").find(c) != std::string_view::npos;
}

// Only paths of source files go: the names of graph nodes ("/encoder/MatMul") look like paths too and are
// what tells the owner of the model where it failed.
void shorten_source_paths(std::string& text) {
  for (std::size_t start = text.find('/'); start != std::string::npos; start = text.find('/', start + 1)) {
    std::size_t end = start;
    while (end < text.size() && is_path_character(text[end])) ++end;
    const std::string_view path = std::string_view(text).substr(start, end - start);
    const bool source = path.ends_with(".cc") || path.ends_with(".h") || path.ends_with(".cpp") ||
                        path.ends_with(".hpp") || path.ends_with(".cu");
    if (source) {
      text.erase(start, path.rfind('/') + 1);
    } else if (end > start + 1) {
      start = end - 1;
    }
    if (start >= text.size()) return;
  }
}

}  // namespace

std::string without_paths(std::string message, std::string_view path) {
  if (!path.empty()) {
    std::error_code ignored;  // a path that cannot be resolved is shortened as it was given
    const std::filesystem::path given(path);
    for (const auto& one : {given, std::filesystem::weakly_canonical(given, ignored)}) {
      const std::string folder = one.parent_path().string();
      if (folder.size() <= 1) continue;  // "/" would take every slash
      replace_all(message, folder + "/", "");
      replace_all(message, folder, "the model's folder");
    }
  }
  shorten_source_paths(message);
  return message;
}

DataType dtype_from_onnx(ort::ElementType type) {
  for (const DtypePair& pair : kDtypes) {
    if (pair.onnx == type) return pair.dtype;
  }
  return DataType::kInvalid;
}

ort::ElementType dtype_to_onnx(DataType dtype) {
  for (const DtypePair& pair : kDtypes) {
    if (pair.dtype == dtype) return pair.onnx;
  }
  return ort::kUndefined;
}

std::shared_ptr<OnnxRuntime> OnnxRuntime::open(const std::string& library_path,
                                               const std::optional<GlobalThreads>& threads) {
  const std::string file = std::filesystem::path(library_path).filename().string();
  const std::string what = refusal(file);
  // Never dlclosed: the library leaves thread-local destructors and exit functions behind that would then
  // run in unmapped code, and loading it twice in a process gains nothing.
  void* library = dlopen(library_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* reason = dlerror();
    throw Error(Code::kUnavailable,
                what + without_paths(reason != nullptr ? reason : "unknown", library_path));
  }
  const ort::Entry entry(dlsym(library, "OrtGetApiBase"));
  const ort::ApiBase* (*const get_api_base)() = entry;
  if (get_api_base == nullptr) {
    throw Error(Code::kUnavailable, what + "it does not export OrtGetApiBase");
  }
  return make(*get_api_base(), file, threads);
}

std::shared_ptr<OnnxRuntime> OnnxRuntime::make(const ort::ApiBase& base, const std::string& file,
                                               const std::optional<GlobalThreads>& threads) {
  const std::string what = refusal(file);
  const std::string version = base.get_version_string();
  const std::string needed = std::to_string(ort::kApiVersion);
  if (api_version_of(version) < ort::kApiVersion) {
    throw Error(Code::kUnsupported, what + "got version " + version + ", expected 1." + needed + " or newer");
  }
  const void* const* table = base.get_api(ort::kApiVersion);
  if (table == nullptr) {
    throw Error(Code::kUnsupported, what + "version " + version + " has no API version " + needed);
  }
  return std::make_shared<OnnxRuntime>(table, version, threads);
}

OnnxRuntime::OnnxRuntime(const void* const* table, std::string version,
                         const std::optional<GlobalThreads>& threads)
    : api_(table), version_(std::move(version)), env_(own(make_env(threads), api_.release_env)) {
  ort::MemoryInfo* memory = nullptr;
  check(api_.create_cpu_memory_info(ort::kDeviceAllocator, ort::kMemTypeDefault, &memory));
  host_memory_ = own(memory, api_.release_memory_info);
  check(api_.default_allocator(&allocator_));
}

ort::Env* OnnxRuntime::make_env(const std::optional<GlobalThreads>& threads) const {
  ort::Env* env = nullptr;
  // What the library would log as an error it also answers as a status, which naiad logs once: with another
  // level a client could write to stderr at will.
  if (!threads) {
    check(api_.create_env(ort::kLogFatal, "naiad", &env));
    return env;
  }
  ort::ThreadingOptions* made = nullptr;
  check(api_.create_threading_options(&made));
  const auto options = own(made, api_.release_threading_options);
  check(api_.set_global_intra_op_num_threads(made, threads->intra_op));
  check(api_.set_global_inter_op_num_threads(made, threads->inter_op));
  check(api_.create_env_with_global_threads(ort::kLogFatal, "naiad", made, &env));
  return env;
}

std::string OnnxRuntime::take_message(ort::Status* status) const {
  std::string message = api_.get_error_message(status);
  api_.release_status(status);
  return without_paths(std::move(message), {});
}

}  // namespace naiad
