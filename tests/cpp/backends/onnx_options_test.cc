#include "backends/onnx_options.h"

#include <doctest/doctest.h>

#include "backends/onnxruntime_backend.h"
#include "batch_run.h"

namespace naiad {
namespace {

TEST_CASE("onnx options: every name and what it stands for") {
  const OnnxOptions options = OnnxOptions::parse({{"intra_op_thread_count", "3"},
                                                  {"inter_op_thread_count", "2"},
                                                  {"execution_mode", "1"},
                                                  {"enable_mem_arena", "0"},
                                                  {"enable_mem_pattern", "false"},
                                                  {"session.use_device_allocator_for_initializers", "1"},
                                                  {"memory.enable_memory_arena_shrinkage", "cpu:0"},
                                                  {"optimization.graph.level", "1"}});
  CHECK(options.intra_op_thread_count == 3);
  CHECK(options.inter_op_thread_count == 2);
  CHECK(options.execution_mode == ort::kParallel);
  CHECK_FALSE(options.enable_mem_arena);
  CHECK_FALSE(options.enable_mem_pattern);
  CHECK(options.use_device_allocator_for_initializers);
  CHECK(options.enable_memory_arena_shrinkage);
  CHECK(options.graph_level == ort::kExtended);
  CHECK(OnnxOptions::parse({{"optimization.graph.level", "-1"}}).graph_level == ort::kBasic);
  CHECK(OnnxOptions::parse({{"optimization.graph.level", "2"}}).graph_level == ort::kDisableAll);
  CHECK(OnnxOptions::parse({{"optimization.graph.level", "0"}}).graph_level == ort::kEnableAll);
  CHECK(OnnxOptions::parse({}).graph_level == ort::kEnableAll);
  CHECK(OnnxOptions::parse({}).intra_op_thread_count == 1);
}

TEST_CASE("onnx options: entries of the library's own are handed on") {
  const OnnxOptions options = OnnxOptions::parse(
      {{"session.intra_op.allow_spinning", "0"}, {"ep.x", "1"}, {"optimization.graph.level", "1"}});
  CHECK(options.config_entries ==
        std::map<std::string, std::string>{{"ep.x", "1"}, {"session.intra_op.allow_spinning", "0"}});
  CHECK(options.graph_level == ort::kExtended);
}

TEST_CASE("onnx options: an unknown name or value is refused by name") {
  CHECK_THROWS_WITH(
      OnnxOptions::parse({{"intra_op_thread_count", "two"}}),
      "onnxruntime option 'intra_op_thread_count': got 'two', expected an integer from 0 (the library "
      "chooses) to 1024");
  CHECK_THROWS_WITH(OnnxOptions::parse({{"execution_mode", "2"}}),
                    "onnxruntime option 'execution_mode': got '2', expected 0 (sequential) or 1 (parallel)");
  CHECK_THROWS_WITH(OnnxOptions::parse({{"enable_mem_arena", ""}}),
                    "onnxruntime option 'enable_mem_arena': got '', expected 0, 1, false or true");
  CHECK_THROWS_WITH(OnnxOptions::parse({{"memory.enable_memory_arena_shrinkage", "cpu:0;gpu:0"}}),
                    doctest::Contains("expected \"cpu:0\""));
  CHECK_THROWS_WITH(OnnxOptions::parse({{"thread_count", "2"}}),
                    doctest::Contains("unknown onnxruntime option 'thread_count', expected one of "
                                      "intra_op_thread_count, inter_op_thread_count, execution_mode"));
}

TEST_CASE("onnx options: the library takes each of them and still computes the same") {
  const std::map<std::string, std::string> all = {{"intra_op_thread_count", "2"},
                                                  {"inter_op_thread_count", "2"},
                                                  {"execution_mode", "1"},
                                                  {"enable_mem_arena", "0"},
                                                  {"enable_mem_pattern", "0"},
                                                  {"session.use_device_allocator_for_initializers", "1"},
                                                  {"memory.enable_memory_arena_shrinkage", "cpu:0"},
                                                  {"session.intra_op.allow_spinning", "0"},
                                                  {"session.set_denormal_as_zero", "1"},
                                                  {"optimization.graph.level", "2"}};
  std::vector<std::map<std::string, std::string>> sets = {{{"intra_op_thread_count", "0"}}};
  for (const auto& option : all) sets.push_back({option});
  const auto runtime = onnx_runtime_of_environment();
  for (const auto& options : sets) {
    CAPTURE(options.begin()->first);
    // The library has no arena to shrink when there is none: it says so at the first run.
    BatchRun runs(model_of(0, {spec_of("x", DataType::kFp32, {1})}, {spec_of("y", DataType::kFp32, {1})}),
                  make_onnxruntime_factory(runtime, onnx_model_path("scalar"), options));
    const auto done = runs.run({{tensor_of<float>(DataType::kFp32, {1}, {2})}});
    CHECK(values_of<float>(output_of(*done, 0, 0)) == std::vector<float>{-2});
  }
}

}  // namespace
}  // namespace naiad
