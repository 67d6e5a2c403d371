#pragma once

#include <cstddef>
#include <cstdint>

// The part of ONNX Runtime's C ABI that naiad calls, declared here because the Python wheels that carry the
// library carry no headers. Source of the facts: include/onnxruntime/core/session/onnxruntime_c_api.h and the
// table in onnxruntime/core/session/onnxruntime_c_api.cc of github.com/microsoft/onnxruntime. The library
// exports OrtGetApiBase; GetApi(version) answers a table of function pointers that only ever grows at its
// end, so a position once shipped stays what it is. Every position here was shipped by version 17.
namespace naiad::ort {

struct Allocator;
struct CudaOptions;  // OrtCUDAProviderOptionsV2
struct Env;
struct IoBinding;
struct MemoryInfo;
struct ModelMetadata;
struct RunOptions;
struct Session;
struct SessionOptions;
struct Status;           // null means success
struct TensorRtOptions;  // OrtTensorRTProviderOptionsV2
struct TensorTypeAndShapeInfo;
struct ThreadingOptions;
struct TypeInfo;
struct Value;

inline constexpr std::uint32_t kApiVersion = 17;

// ONNXTensorElementDataType.
enum ElementType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

// ONNXType, OrtLoggingLevel, ExecutionMode, OrtAllocatorType, OrtMemType, GraphOptimizationLevel.
enum OnnxType : int { kTensorType = 1 };
enum LoggingLevel : int { kLogFatal = 4 };
enum ExecutionMode : int { kSequential = 0, kParallel = 1 };
enum AllocatorType : int { kDeviceAllocator = 0 };
enum MemType : int { kMemTypeDefault = 0 };
enum GraphLevel : int { kDisableAll = 0, kBasic = 1, kExtended = 2, kEnableAll = 99 };

// What OrtGetApiBase answers.
struct ApiBase {
  const void* const* (*get_api)(std::uint32_t version);
  const char* (*get_version_string)();
};

// One entry of the table, on its way to the function pointer that it is assigned to.
class Entry {
 public:
  explicit Entry(const void* address) : address_(const_cast<void*>(address)) {}
  template <class Function>
  operator Function*() const {  // NOLINT: the conversion is the point
    return reinterpret_cast<Function*>(address_);
  }

 private:
  void* address_;
};

// The functions in use, by position. Any thread.
class Api {
 public:
  explicit Api(const void* const* table) : table_(table) {}

 private:
  Entry at(std::size_t index) const { return Entry(table_[index]); }
  const void* const* table_;

 public:
  const char* (*const get_error_message)(const Status*) = at(2);
  Status* (*const create_env)(LoggingLevel, const char* log_id, Env**) = at(3);
  Status* (*const create_session)(const Env*, const char* path, const SessionOptions*, Session**) = at(7);
  Status* (*const run)(Session*, const RunOptions*, const char* const* input_names,
                       const Value* const* inputs, std::size_t num_inputs, const char* const* output_names,
                       std::size_t num_outputs, Value** outputs) = at(9);
  Status* (*const create_session_options)(SessionOptions**) = at(10);
  Status* (*const set_execution_mode)(SessionOptions*, ExecutionMode) = at(13);
  Status* (*const enable_mem_pattern)(SessionOptions*) = at(16);
  Status* (*const disable_mem_pattern)(SessionOptions*) = at(17);
  Status* (*const enable_cpu_mem_arena)(SessionOptions*) = at(18);
  Status* (*const disable_cpu_mem_arena)(SessionOptions*) = at(19);
  Status* (*const set_graph_level)(SessionOptions*, GraphLevel) = at(23);
  Status* (*const set_intra_op_num_threads)(SessionOptions*, int) = at(24);
  Status* (*const set_inter_op_num_threads)(SessionOptions*, int) = at(25);
  Status* (*const session_input_count)(const Session*, std::size_t*) = at(30);
  Status* (*const session_output_count)(const Session*, std::size_t*) = at(31);
  Status* (*const session_initializer_count)(const Session*, std::size_t*) = at(32);
  Status* (*const session_input_type)(const Session*, std::size_t, TypeInfo**) = at(33);
  Status* (*const session_output_type)(const Session*, std::size_t, TypeInfo**) = at(34);
  Status* (*const session_initializer_type)(const Session*, std::size_t, TypeInfo**) = at(35);
  Status* (*const session_input_name)(const Session*, std::size_t, Allocator*, char**) = at(36);
  Status* (*const session_output_name)(const Session*, std::size_t, Allocator*, char**) = at(37);
  Status* (*const session_initializer_name)(const Session*, std::size_t, Allocator*, char**) = at(38);
  Status* (*const create_run_options)(RunOptions**) = at(39);
  Status* (*const create_tensor)(Allocator*, const std::int64_t* dims, std::size_t rank, ElementType,
                                 Value**) = at(48);
  Status* (*const create_tensor_with_data)(const MemoryInfo*, void* data, std::size_t size_bytes,
                                           const std::int64_t* dims, std::size_t rank, ElementType,
                                           Value**) = at(49);
  Status* (*const is_tensor)(const Value*, int*) = at(50);
  Status* (*const tensor_mutable_data)(Value*, void**) = at(51);
  Status* (*const string_tensor_data_length)(const Value*, std::size_t*) = at(53);
  Status* (*const string_tensor_content)(const Value*, void* text, std::size_t text_size_bytes,
                                         std::size_t* offsets, std::size_t num_offsets) = at(54);
  Status* (*const cast_to_tensor_type)(const TypeInfo*, const TensorTypeAndShapeInfo**) = at(55);
  Status* (*const onnx_type)(const TypeInfo*, OnnxType*) = at(56);
  Status* (*const tensor_element_type)(const TensorTypeAndShapeInfo*, ElementType*) = at(60);
  Status* (*const tensor_rank)(const TensorTypeAndShapeInfo*, std::size_t*) = at(61);
  Status* (*const tensor_dims)(const TensorTypeAndShapeInfo*, std::int64_t*, std::size_t rank) = at(62);
  Status* (*const value_type_and_shape)(const Value*, TensorTypeAndShapeInfo**) = at(65);
  Status* (*const create_memory_info)(const char* name, AllocatorType, int device_id, MemType,
                                      MemoryInfo**) = at(68);
  Status* (*const create_cpu_memory_info)(AllocatorType, MemType, MemoryInfo**) = at(69);
  Status* (*const allocator_free)(Allocator*, void*) = at(76);
  Status* (*const default_allocator)(Allocator**) = at(78);  // owned by the library
  void (*const release_env)(Env*) = at(92);
  void (*const release_status)(Status*) = at(93);
  void (*const release_memory_info)(MemoryInfo*) = at(94);
  void (*const release_session)(Session*) = at(95);
  void (*const release_value)(Value*) = at(96);
  void (*const release_run_options)(RunOptions*) = at(97);
  void (*const release_type_info)(TypeInfo*) = at(98);
  void (*const release_tensor_type)(TensorTypeAndShapeInfo*) = at(99);
  void (*const release_session_options)(SessionOptions*) = at(100);
  Status* (*const session_metadata)(const Session*, ModelMetadata**) = at(111);
  Status* (*const metadata_lookup)(const ModelMetadata*, Allocator*, const char* key, char**) = at(116);
  void (*const release_model_metadata)(ModelMetadata*) = at(118);
  Status* (*const create_env_with_global_threads)(LoggingLevel, const char* log_id, const ThreadingOptions*,
                                                  Env**) = at(119);
  Status* (*const disable_per_session_threads)(SessionOptions*) = at(120);
  Status* (*const create_threading_options)(ThreadingOptions**) = at(121);
  void (*const release_threading_options)(ThreadingOptions*) = at(122);
  Status* (*const metadata_keys)(const ModelMetadata*, Allocator*, char*** keys,
                                 std::int64_t* count) = at(123);
  Status* (*const available_providers)(char*** names, int* count) = at(125);
  Status* (*const release_available_providers)(char** names, int count) = at(126);
  Status* (*const add_session_config_entry)(SessionOptions*, const char* key, const char* value) = at(130);
  Status* (*const run_with_binding)(Session*, const RunOptions*, const IoBinding*) = at(133);
  Status* (*const create_io_binding)(Session*, IoBinding**) = at(134);
  void (*const release_io_binding)(IoBinding*) = at(135);
  Status* (*const bind_input)(IoBinding*, const char* name, const Value*) = at(136);
  Status* (*const bind_output_to_device)(IoBinding*, const char* name, const MemoryInfo*) = at(138);
  // In the order in which the outputs were bound; the list is the allocator's, each value the caller's.
  Status* (*const bound_output_values)(const IoBinding*, Allocator*, Value*** values,
                                       std::size_t* count) = at(140);
  void (*const clear_bound_inputs)(IoBinding*) = at(141);
  void (*const clear_bound_outputs)(IoBinding*) = at(142);
  Status* (*const set_global_intra_op_num_threads)(ThreadingOptions*, int) = at(147);
  Status* (*const set_global_inter_op_num_threads)(ThreadingOptions*, int) = at(148);
  Status* (*const add_run_config_entry)(RunOptions*, const char* key, const char* value) = at(165);
  Status* (*const append_tensor_rt)(SessionOptions*, const TensorRtOptions*) = at(170);
  Status* (*const create_tensor_rt_options)(TensorRtOptions**) = at(171);
  Status* (*const update_tensor_rt_options)(TensorRtOptions*, const char* const* keys,
                                            const char* const* values, std::size_t count) = at(172);
  void (*const release_tensor_rt_options)(TensorRtOptions*) = at(174);
  Status* (*const append_cuda)(SessionOptions*, const CudaOptions*) = at(204);
  Status* (*const create_cuda_options)(CudaOptions**) = at(205);
  Status* (*const update_cuda_options)(CudaOptions*, const char* const* keys, const char* const* values,
                                       std::size_t count) = at(206);
  void (*const release_cuda_options)(CudaOptions*) = at(208);
  // Makes room for one string and answers where to write it; unlike FillStringTensor it takes any byte, NUL
  // included.
  Status* (*const string_element_buffer)(Value*, std::size_t index, std::size_t size_bytes, char**) = at(252);
  // Options that are addresses: "user_compute_stream".
  Status* (*const update_tensor_rt_options_with_value)(TensorRtOptions*, const char* key,
                                                       void* value) = at(261);
  Status* (*const update_cuda_options_with_value)(CudaOptions*, const char* key, void* value) = at(263);
  Status* (*const append_open_vino)(SessionOptions*, const char* const* keys, const char* const* values,
                                    std::size_t count) = at(275);
};

}  // namespace naiad::ort
