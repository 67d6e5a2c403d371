#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/errors.h"
#include "engine/ensemble_plan.h"
#include "engine/model.h"
#include "request/model_spec.h"

namespace naiad {
namespace py = pybind11;
namespace {

// Requests that may wait for a model which sets no bound of its own.
constexpr std::size_t kDefaultQueueSize = 8192;

TensorSpec make_tensor_spec(std::string name, const std::string& datatype,
                            const std::vector<std::int64_t>& dims,
                            const std::optional<std::vector<std::int64_t>>& reshape, bool optional,
                            std::vector<std::string> labels) {
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
  return spec;
}

ModelSpec make_model_spec(std::string name, std::int64_t version, std::uint32_t max_batch_size,
                          std::vector<TensorSpec> inputs, std::vector<TensorSpec> outputs,
                          bool dynamic_batching, std::vector<std::uint32_t> preferred_batch_sizes,
                          std::uint64_t max_queue_delay_us, std::size_t max_queue_size, bool decoupled) {
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
  spec.max_queue_size = max_queue_size == 0 ? kDefaultQueueSize : max_queue_size;
  return spec;
}

InstancePlan make_instance_plan(std::string name, const std::string& device_kind, int device_id) {
  if (device_kind != "CPU" && device_kind != "GPU") {
    throw Error(Code::kInvalidArgument, "unknown device kind '" + device_kind + "'");
  }
  return {std::move(name), {device_kind == "GPU" ? DeviceKind::kGpu : DeviceKind::kCpu, device_id}};
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
           py::arg("labels") = std::vector<std::string>{})
      .def_readonly("name", &TensorSpec::name)
      .def_property_readonly("datatype",
                             [](const TensorSpec& spec) { return std::string(dtype_name(spec.dtype)); })
      .def_property_readonly("dims", [](const TensorSpec& spec) {
        return std::vector<std::int64_t>(spec.dims.begin(), spec.dims.end());
      });

  py::class_<ModelSpec>(module, "ModelSpec")
      .def(py::init(&make_model_spec), py::arg("name"), py::arg("version"), py::kw_only(),
           py::arg("max_batch_size"), py::arg("inputs"), py::arg("outputs"),
           py::arg("dynamic_batching") = false,
           py::arg("preferred_batch_sizes") = std::vector<std::uint32_t>{}, py::arg("max_queue_delay_us") = 0,
           py::arg("max_queue_size") = 0, py::arg("decoupled") = false)
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
           py::arg("device_id") = 0);
}

}  // namespace naiad
