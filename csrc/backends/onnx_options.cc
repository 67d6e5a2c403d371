#include "backends/onnx_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <string_view>

namespace naiad {
namespace {

[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view expected) {
  throw Error(Code::kInvalidArgument, "onnxruntime option '" + std::string(name) + "': got '" +
                                          std::string(value) + "', expected " + std::string(expected));
}

int parse_int(std::string_view name, const std::string& value, int low, int high, std::string_view expected) {
  int number = 0;
  const char* end = value.data() + value.size();
  const auto [stop, failure] = std::from_chars(value.data(), end, number);
  if (failure != std::errc() || stop != end || number < low || number > high) refuse(name, value, expected);
  return number;
}

int parse_thread_count(std::string_view name, const std::string& value) {
  return parse_int(name, value, 0, 1024, "an integer from 0 (the library chooses) to 1024");
}

bool parse_bool(std::string_view name, const std::string& value) {
  if (value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  refuse(name, value, "0, 1, false or true");
}

// Triton's levels: -1 is basic, 1 adds the extended ones, 2 turns all off, and 0, its default, is everything.
ort::GraphLevel parse_graph_level(std::string_view name, const std::string& value) {
  switch (parse_int(name, value, -1, 2, "-1, 0, 1 or 2")) {
    case -1:
      return ort::kBasic;
    case 1:
      return ort::kExtended;
    case 2:
      return ort::kDisableAll;
    default:
      return ort::kEnableAll;
  }
}

bool parse_shrinkage(std::string_view name, const std::string& value) {
  if (value != "cpu:0") refuse(name, value, "\"cpu:0\" (a model on the CPU has no other arena)");
  return true;
}

using Reader = void (*)(OnnxOptions&, std::string_view name, const std::string& value);
struct NamedReader {
  std::string_view name;
  Reader read;
};

constexpr std::array<NamedReader, 9> kReaders = {{
    {"intra_op_thread_count",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.intra_op_thread_count = parse_thread_count(name, value);
     }},
    {"inter_op_thread_count",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.inter_op_thread_count = parse_thread_count(name, value);
     }},
    {"execution_mode",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.execution_mode = parse_int(name, value, 0, 1, "0 (sequential) or 1 (parallel)") == 1
                               ? ort::kParallel
                               : ort::kSequential;
     }},
    {"enable_mem_arena", [](OnnxOptions& to, std::string_view name,
                            const std::string& value) { to.enable_mem_arena = parse_bool(name, value); }},
    {"enable_mem_pattern", [](OnnxOptions& to, std::string_view name,
                              const std::string& value) { to.enable_mem_pattern = parse_bool(name, value); }},
    {"session.use_device_allocator_for_initializers",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.use_device_allocator_for_initializers = parse_bool(name, value);
     }},
    {"memory.enable_memory_arena_shrinkage",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.enable_memory_arena_shrinkage = parse_shrinkage(name, value);
     }},
    {"optimization.graph.level",
     [](OnnxOptions& to, std::string_view name, const std::string& value) {
       to.graph_level = parse_graph_level(name, value);
     }},
    {"global-threads", [](OnnxOptions& to, std::string_view name,
                          const std::string& value) { to.use_global_threads = parse_bool(name, value); }},
}};

bool is_config_entry(std::string_view name) {
  return std::ranges::any_of(std::array<std::string_view, 4>{"session.", "ep.", "mlas.", "optimization."},
                             [&](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace

OnnxOptions OnnxOptions::parse(const std::map<std::string, std::string>& options) {
  OnnxOptions parsed;
  for (const auto& [name, value] : options) {
    bool known = false;
    std::string allowed;
    for (const NamedReader& reader : kReaders) {
      if (reader.name == name) reader.read(parsed, name, value);
      known = known || reader.name == name;
      allowed += (allowed.empty() ? "" : ", ") + std::string(reader.name);
    }
    if (!known && is_config_entry(name)) {
      parsed.config_entries.emplace(name, value);
    } else if (!known) {
      throw Error(Code::kInvalidArgument,
                  "unknown onnxruntime option '" + name + "', expected one of " + allowed);
    }
  }
  return parsed;
}

OnnxOwned<ort::SessionOptions> OnnxOptions::session_options(const OnnxRuntime& runtime) const {
  const ort::Api& api = runtime.api();
  ort::SessionOptions* made = nullptr;
  runtime.check(api.create_session_options(&made));
  auto options = OnnxRuntime::own(made, api.release_session_options);
  if (use_global_threads) {
    runtime.check(api.disable_per_session_threads(made));
  } else {
    runtime.check(api.set_intra_op_num_threads(made, intra_op_thread_count));
    runtime.check(api.set_inter_op_num_threads(made, inter_op_thread_count));
  }
  runtime.check(api.set_execution_mode(made, execution_mode));
  runtime.check(api.set_graph_level(made, graph_level));
  runtime.check(enable_mem_arena ? api.enable_cpu_mem_arena(made) : api.disable_cpu_mem_arena(made));
  runtime.check(enable_mem_pattern ? api.enable_mem_pattern(made) : api.disable_mem_pattern(made));
  runtime.check(api.add_session_config_entry(made, "session.use_device_allocator_for_initializers",
                                             use_device_allocator_for_initializers ? "1" : "0"));
  for (const auto& [name, value] : config_entries) {
    runtime.check(api.add_session_config_entry(made, name.c_str(), value.c_str()));
  }
  return options;
}

OnnxOwned<ort::RunOptions> OnnxOptions::run_options(const OnnxRuntime& runtime, bool waits) const {
  if (!enable_memory_arena_shrinkage && waits) return {};
  ort::RunOptions* made = nullptr;
  runtime.check(runtime.api().create_run_options(&made));
  auto options = OnnxRuntime::own(made, runtime.api().release_run_options);
  const auto add = [&](const char* key, const char* value) {
    runtime.check(runtime.api().add_run_config_entry(made, key, value));
  };
  if (enable_memory_arena_shrinkage) add("memory.enable_memory_arena_shrinkage", "cpu:0");
  if (!waits) add("disable_synchronize_execution_providers", "1");
  return options;
}

}  // namespace naiad
