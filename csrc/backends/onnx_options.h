#pragma once

#include <map>
#include <optional>
#include <string>

#include "backends/onnx_runtime.h"

namespace naiad {

// How sessions of one model run, from the model's `parameters` and `optimization.graph.level`.
struct OnnxOptions {
  // Threads that share one operator. 1 by default, where Triton leaves it to the library (0: all physical
  // cores): the instances of a model are the parallelism of a server, and a pool of spinning threads per
  // model slows all of them down (figures in docs/backends.md). 0 keeps the library's meaning.
  int intra_op_thread_count = 1;
  // Threads that run independent operators, in execution mode 1 only; 0: the library chooses.
  int inter_op_thread_count = 0;
  ort::ExecutionMode execution_mode = ort::kSequential;
  bool enable_mem_arena = true;
  bool enable_mem_pattern = true;
  bool use_device_allocator_for_initializers = false;
  bool enable_memory_arena_shrinkage = false;
  ort::GraphLevel graph_level = ort::kEnableAll;
  // Entries of the library's own, by name: session.intra_op.allow_spinning ...
  std::map<std::string, std::string> config_entries;
  // The pools of threads belong to all sessions together, and the counts of threads are not a session's.
  bool use_global_threads = false;

  // The options by their Triton names: intra_op_thread_count, inter_op_thread_count, execution_mode,
  // enable_mem_arena, enable_mem_pattern, session.use_device_allocator_for_initializers,
  // memory.enable_memory_arena_shrinkage ("cpu:0"), optimization.graph.level (-1: basic, 1: extended, 2:
  // none, 0: all), global-threads (0, 1), and config entries, which begin with session., ep., mlas. or
  // optimization. and which the library does not check. Throws Error(kInvalidArgument) for an unknown name or
  // value, with what is allowed. Any thread.
  static OnnxOptions parse(const std::map<std::string, std::string>& options);

  // The library's form of it. Any thread.
  OnnxOwned<ort::SessionOptions> session_options(const OnnxRuntime& runtime) const;
  // Options of each run, which waits for what it has queued on a device or does not; empty when there are
  // none. Any thread.
  OnnxOwned<ort::RunOptions> run_options(const OnnxRuntime& runtime, bool waits = true) const;
};

}  // namespace naiad
