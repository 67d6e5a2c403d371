#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "engine/ensemble_plan.h"
#include "engine/model.h"
#include "queue/request_queue.h"
#include "request/model_spec.h"

namespace naiad {
namespace py = pybind11;
namespace {

// Requests that may wait for a model which sets no bound of its own.
constexpr std::size_t kDefaultQueueSize = 8192;

TensorSpec make_tensor_spec(std::string name, const std::string& datatype,
                            const std::vector<std::int64_t>& dims,
                            const std::optional<std::vector<std::int64_t>>& reshape, bool optional,
                            std::vector<std::string> labels, bool internal, bool ragged, bool shape_values) {
  const auto dtype = dtype_from_name(datatype);
  if (!dtype)
    throw Error(Code::kInvalidArgument, "unknown datatype '" + datatype + "' of tensor '" + name + "'");
  TensorSpec spec;
  spec.name = std::move(name);
  spec.dtype = *dtype;
  spec.dims = Shape(dims);
  if (reshape) spec.reshape = Shape(*reshape);
  spec.optional = optional;
  spec.labels = std::move(labels);
  spec.internal = internal;
  spec.ragged = ragged;
  spec.shape_values = shape_values;
  return spec;
}

StreamPriority priority_of(const std::string& name) {
  if (name == "PRIORITY_DEFAULT") return StreamPriority::kDefault;
  if (name == "PRIORITY_MAX") return StreamPriority::kHigh;
  if (name == "PRIORITY_MIN") return StreamPriority::kLow;
  throw Error(Code::kInvalidArgument, "unknown stream priority '" + name + "'");
}

ModelSpec make_model_spec(std::string name, std::int64_t version, std::uint32_t max_batch_size,
                          std::vector<TensorSpec> inputs, std::vector<TensorSpec> outputs,
                          bool dynamic_batching, std::vector<std::uint32_t> preferred_batch_sizes,
                          std::uint64_t max_queue_delay_us, std::size_t max_queue_size, bool decoupled,
                          bool cached, std::shared_ptr<SequenceSpec> sequence,
                          std::vector<WarmupSample> warmups, bool preserve_ordering,
                          std::vector<QueuePolicy> levels, std::uint32_t default_priority,
                          bool split_oversize, std::uint64_t latency_target_us, bool unbounded_queue,
                          std::string content, std::vector<double> first_response_buckets_ms, bool summaries,
                          const std::string& stream_priority, std::size_t gather_threshold,
                          std::size_t gpu_memory_limit_bytes, bool graphs) {
  ModelSpec spec;
  spec.name = std::move(name);
  spec.version = version;
  spec.max_batch_size = max_batch_size;
  spec.inputs = std::move(inputs);
  spec.outputs = std::move(outputs);
  spec.batching.dynamic = dynamic_batching;
  std::ranges::sort(preferred_batch_sizes);
  if (!preferred_batch_sizes.empty() &&
      (preferred_batch_sizes.front() == 0 || preferred_batch_sizes.back() > max_batch_size)) {
    throw Error(Code::kInvalidArgument,
                "dynamic batching preferred size must be positive and <= max batch size for " + spec.name);
  }
  spec.batching.preferred_num_rows = std::move(preferred_batch_sizes);
  spec.batching.max_queue_delay_ns = max_queue_delay_us * 1000;
  spec.decoupled = decoupled;
  spec.cached = cached;
  spec.content = std::move(content);
  if (!std::ranges::is_sorted(first_response_buckets_ms)) {
    throw Error(Code::kInvalidArgument, "the buckets of a histogram should be ascending");
  }
  spec.first_response_buckets_ms = std::move(first_response_buckets_ms);
  spec.summaries = summaries;
  spec.splits_oversize = split_oversize && max_batch_size > 0;
  spec.batching.preserve_ordering = preserve_ordering;
  spec.batching.latency_target_ns = latency_target_us * 1000;
  spec.batching.levels = std::move(levels);
  spec.batching.default_priority = default_priority;
  spec.device.priority = priority_of(stream_priority);
  spec.device.gather_threshold = gather_threshold;
  spec.device.memory_limit_bytes = gpu_memory_limit_bytes;
  spec.device.graphs = graphs;
  spec.warmups = std::move(warmups);
  spec.sequence = std::move(sequence);
  const std::size_t unsaid = unbounded_queue ? RequestQueue::kUnbounded : kDefaultQueueSize;
  spec.max_queue_size = max_queue_size == 0 ? unsaid : max_queue_size;
  return spec;
}

std::shared_ptr<SequenceSpec> make_sequence_spec(bool direct, std::uint64_t max_idle_us, bool iterative,
                                                 std::size_t max_candidates, float min_slot_utilization,
                                                 std::vector<std::uint32_t> preferred_batch_sizes,
                                                 std::uint64_t max_queue_delay_us, bool preserve_ordering) {
  auto spec = std::make_shared<SequenceSpec>();
  spec->direct = direct;
  spec->max_idle_ns = max_idle_us * 1000;
  spec->iterative = iterative;
  spec->max_candidates = max_candidates;
  spec->min_slot_utilization = min_slot_utilization;
  std::ranges::sort(preferred_batch_sizes);
  spec->preferred_num_rows = std::move(preferred_batch_sizes);
  spec->max_queue_delay_ns = max_queue_delay_us * 1000;
  spec->preserve_ordering = preserve_ordering;
  return spec;
}

Tensor tensor_of(const std::string& datatype, const std::vector<std::int64_t>& dims,
                 const std::string& bytes) {
  const auto dtype = dtype_from_name(datatype);
  if (!dtype) throw Error(Code::kInvalidArgument, "unknown datatype '" + datatype + "'");
  BufferRef buffer = make_heap_buffer(bytes.size());
  std::ranges::copy(std::as_bytes(std::span(bytes)), buffer->data());
  return {*dtype, Shape(dims), buffer->data(), bytes.size(), std::move(buffer)};
}

std::size_t position(std::optional<std::size_t> index, const ModelSpec& spec, const std::string& name) {
  if (index) return *index;
  throw Error(Code::kInvalidArgument, "model '" + spec.name + "' has no tensor '" + name + "'");
}

void add_batch_input(ModelSpec& spec, const std::string& kind, const std::string& name,
                     const std::string& datatype, const std::vector<std::int64_t>& dims,
                     const std::string& source) {
  static const std::map<std::string, BatchInputKind> kinds = {
      {"BATCH_ELEMENT_COUNT", BatchInputKind::kElementCount},
      {"BATCH_ACCUMULATED_ELEMENT_COUNT", BatchInputKind::kAccumulatedElementCount},
      {"BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", BatchInputKind::kAccumulatedElementCountWithZero},
      {"BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", BatchInputKind::kMaxElementCountAsShape},
      {"BATCH_ITEM_SHAPE", BatchInputKind::kItemShape},
      {"BATCH_ITEM_SHAPE_FLATTEN", BatchInputKind::kItemShapeFlatten}};
  const auto found = kinds.find(kind);
  if (found == kinds.end()) throw Error(Code::kInvalidArgument, "unknown kind of batch input '" + kind + "'");
  const std::size_t from = position(spec.input_index(source), spec, source);
  TensorSpec made = make_tensor_spec(name, datatype, dims, std::nullopt, false, {}, true, false, false);
  made.generated = true;
  spec.batch_inputs.push_back({found->second, spec.inputs.size(), from});
  spec.inputs.push_back(std::move(made));
}

void add_batch_output(ModelSpec& spec, const std::string& output, const std::string& source) {
  const std::size_t index = position(spec.output_index(output), spec, output);
  spec.outputs[index].ragged = true;
  spec.batch_outputs.push_back({index, position(spec.input_index(source), spec, source)});
}

WarmupSample make_warmup_sample(std::string name, std::uint32_t num_requests, std::uint32_t count) {
  return {std::move(name), num_requests, count, {}};
}

void add_input(WarmupSample& sample, std::size_t input, const std::string& datatype,
               const std::vector<std::int64_t>& shape, const py::bytes& content) {
  sample.inputs.emplace_back(input, tensor_of(datatype, shape, content));
}

void add_control(SequenceSpec& spec, const std::string& kind, std::size_t input, const std::string& datatype,
                 const std::vector<std::int64_t>& shape, const std::vector<py::bytes>& values) {
  const std::map<std::string, SequenceControl> kinds = {{"START", SequenceControl::kStart},
                                                        {"END", SequenceControl::kEnd},
                                                        {"READY", SequenceControl::kReady},
                                                        {"CORRID", SequenceControl::kCorrelationId}};
  const auto found = kinds.find(kind);
  if (found == kinds.end()) throw Error(Code::kInvalidArgument, "unknown sequence control '" + kind + "'");
  SequenceSpec::Control control{found->second, input, {}, {}};
  if (control.kind != SequenceControl::kCorrelationId) {
    if (values.size() != 2)
      throw Error(Code::kInvalidArgument, kind + " needs its values for false and true");
    control.when_false = tensor_of(datatype, shape, values[0]);
    control.when_true = tensor_of(datatype, shape, values[1]);
  }
  spec.controls.push_back(std::move(control));
}

void add_state(SequenceSpec& spec, std::size_t input, std::size_t output, const std::string& datatype,
               const std::vector<std::int64_t>& shape, const py::bytes& initial) {
  spec.states.push_back({input, output, tensor_of(datatype, shape, initial)});
}

InstancePlan make_instance_plan(std::string name, const std::string& device_kind, int device_id,
                                const std::map<std::pair<std::string, int>, std::size_t>& resources,
                                std::uint32_t priority, bool passive, std::vector<int> cpus,
                                const std::optional<int>& numa_node) {
  if (device_kind != "CPU" && device_kind != "GPU") {
    throw Error(Code::kInvalidArgument, "unknown device kind '" + device_kind + "'");
  }
  RateNeeds needs;
  needs.priority = priority;
  for (const auto& [key, count] : resources)
    needs.resources.emplace(RateResource{key.first, key.second}, count);
  return {std::move(name),
          {device_kind == "GPU" ? DeviceKind::kGpu : DeviceKind::kCpu, device_id},
          std::move(needs),
          passive,
          {std::move(cpus), numa_node}};
}

using Links = std::vector<std::tuple<std::string, std::size_t, bool>>;

std::vector<EnsemblePlan::Link> make_links(const Links& given, std::size_t num_tensors) {
  std::vector<EnsemblePlan::Link> links;
  for (const auto& [name, tensor, optional] : given) {
    if (tensor >= num_tensors) throw Error(Code::kInvalidArgument, "a step names a tensor that there is not");
    links.push_back({name, tensor, optional});
  }
  return links;
}

void add_step(EnsemblePlan& plan, std::string model, std::string version, const Links& inputs,
              const Links& outputs, std::optional<std::pair<std::size_t, bool>> when) {
  EnsemblePlan::Step step;
  step.model = std::move(model);
  step.version = std::move(version);
  step.inputs = make_links(inputs, plan.tensors.size());
  step.outputs = make_links(outputs, plan.tensors.size());
  if (when) step.when = EnsemblePlan::Condition{when->first, when->second};
  plan.steps.push_back(std::move(step));
}

EnsemblePlan make_ensemble_plan(std::vector<std::string> tensors, std::vector<std::size_t> inputs,
                                std::vector<std::size_t> outputs, std::size_t max_inflight_requests) {
  EnsemblePlan plan;
  plan.tensors = std::move(tensors);
  plan.inputs = std::move(inputs);
  plan.outputs = std::move(outputs);
  plan.max_inflight_requests = max_inflight_requests;
  return plan;
}

}  // namespace

void register_specs(py::module_& module) {
  py::class_<TensorSpec>(module, "TensorSpec")
      .def(py::init(&make_tensor_spec), py::arg("name"), py::arg("datatype"), py::arg("dims"), py::kw_only(),
           py::arg("reshape") = py::none(), py::arg("optional") = false,
           py::arg("labels") = std::vector<std::string>{}, py::arg("internal") = false,
           py::arg("ragged") = false, py::arg("shape_values") = false)
      .def_readonly("name", &TensorSpec::name)
      .def_property_readonly("datatype",
                             [](const TensorSpec& spec) { return std::string(dtype_name(spec.dtype)); })
      .def_property_readonly("dims", [](const TensorSpec& spec) {
        return std::vector<std::int64_t>(spec.dims.begin(), spec.dims.end());
      });

  py::class_<QueuePolicy>(module, "QueuePolicy")
      .def(py::init(
               [](bool delays, std::uint64_t default_timeout_us, bool allow_override, std::size_t max_size) {
                 return QueuePolicy{delays, default_timeout_us * 1000, allow_override, max_size};
               }),
           py::kw_only(), py::arg("delays") = false, py::arg("default_timeout_us") = 0,
           py::arg("allow_override") = true, py::arg("max_size") = 0);

  py::class_<SequenceSpec, std::shared_ptr<SequenceSpec>>(module, "SequenceSpec")
      .def(py::init(&make_sequence_spec), py::kw_only(), py::arg("direct"), py::arg("max_idle_us"),
           py::arg("iterative") = false, py::arg("max_candidates") = 0,
           py::arg("min_slot_utilization") = 0.0F,
           py::arg("preferred_batch_sizes") = std::vector<std::uint32_t>{}, py::arg("max_queue_delay_us") = 0,
           py::arg("preserve_ordering") = false)
      .def("add_control", &add_control, py::arg("kind"), py::arg("input"), py::kw_only(), py::arg("datatype"),
           py::arg("shape"), py::arg("values"))
      .def("add_state", &add_state, py::arg("input"), py::arg("output"), py::kw_only(), py::arg("datatype"),
           py::arg("shape"), py::arg("initial"));

  py::class_<WarmupSample>(module, "WarmupSample")
      .def(py::init(&make_warmup_sample), py::arg("name"), py::kw_only(), py::arg("num_requests"),
           py::arg("count"))
      .def("add_input", &add_input, py::arg("input"), py::kw_only(), py::arg("datatype"), py::arg("shape"),
           py::arg("content"));

  py::class_<ModelSpec>(module, "ModelSpec")
      .def(py::init(&make_model_spec), py::arg("name"), py::arg("version"), py::kw_only(),
           py::arg("max_batch_size"), py::arg("inputs"), py::arg("outputs"),
           py::arg("dynamic_batching") = false,
           py::arg("preferred_batch_sizes") = std::vector<std::uint32_t>{}, py::arg("max_queue_delay_us") = 0,
           py::arg("max_queue_size") = 0, py::arg("decoupled") = false, py::arg("cached") = false,
           py::arg("sequence") = py::none(), py::arg("warmups") = std::vector<WarmupSample>{},
           py::arg("preserve_ordering") = false, py::arg("levels") = std::vector<QueuePolicy>{},
           py::arg("default_priority") = 0, py::arg("split_oversize") = false,
           py::arg("latency_target_us") = 0, py::arg("unbounded_queue") = false, py::arg("content") = "",
           py::arg("first_response_buckets_ms") = ModelSpec{}.first_response_buckets_ms,
           py::arg("summaries") = false, py::arg("stream_priority") = "PRIORITY_DEFAULT",
           py::arg("gather_threshold") = 0, py::arg("gpu_memory_limit_bytes") = 0, py::arg("graphs") = false)
      .def("add_batch_input", &add_batch_input, py::arg("kind"), py::arg("name"), py::kw_only(),
           py::arg("datatype"), py::arg("dims"), py::arg("source"))
      .def("add_batch_output", &add_batch_output, py::arg("output"), py::arg("source"))
      .def_readonly("decoupled", &ModelSpec::decoupled)
      .def_readonly("name", &ModelSpec::name)
      .def_readonly("version", &ModelSpec::version);

  py::class_<EnsemblePlan>(module, "EnsemblePlan")
      .def(py::init(&make_ensemble_plan), py::arg("tensors"), py::kw_only(), py::arg("inputs"),
           py::arg("outputs"), py::arg("max_inflight_requests") = 0)
      .def("add_step", &add_step, py::arg("model"), py::arg("version"), py::kw_only(), py::arg("inputs"),
           py::arg("outputs"), py::arg("when") = py::none());

  py::class_<InstancePlan>(module, "InstanceSpec")
      .def(py::init(&make_instance_plan), py::arg("name"), py::kw_only(), py::arg("device_kind") = "CPU",
           py::arg("device_id") = 0,
           py::arg("resources") = std::map<std::pair<std::string, int>, std::size_t>{},
           py::arg("priority") = 1, py::arg("passive") = false, py::arg("cpus") = std::vector<int>{},
           py::arg("numa_node") = py::none());
}

}  // namespace naiad
