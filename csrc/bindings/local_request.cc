#include "bindings/local_request.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/errors.h"
#include "bindings/gathering_sink.h"

namespace naiad {
namespace {

// An input as a model gives it: its name, its data type, its array.
using GivenTensor = std::tuple<std::string, std::string, py::object>;
using CorrelationId = std::variant<std::uint64_t, std::string>;

// How long a call goes on before it is looked whether its caller still wants it.
constexpr std::uint64_t kLookEveryNs = 20'000'000;

std::unique_ptr<LocalRequest> make(const std::shared_ptr<Core>& core, const std::string& model,
                                   const std::string& version, const std::vector<GivenTensor>& inputs,
                                   const std::vector<std::string>& outputs, std::string request_id,
                                   const py::object& parameters, const CorrelationId& correlation_id,
                                   bool sequence_start, bool sequence_end, std::uint64_t timeout_us,
                                   bool many, std::uint64_t caller, std::uint64_t trace_number) {
  auto request = std::make_unique<Request>();
  request->model_name = request->text.emplace_back(model);
  request->model_version = request->text.emplace_back(version);
  request->id = std::move(request_id);
  for (const auto& [name, datatype, array] : inputs) {
    const auto dtype = dtype_from_name(datatype);
    request->given_inputs.push_back(
        {request->text.emplace_back(name),
         tensor_from_python(array, dtype.value_or(DataType::kInvalid), core->engine.pool(), core->bin)});
  }
  for (const std::string& output : outputs) {
    request->wanted_outputs.push_back({request->text.emplace_back(output), 0, {}});
  }
  set_parameters(*request, parameters);
  if (const auto* number = std::get_if<std::uint64_t>(&correlation_id)) request->sequence_id = *number;
  if (const auto* name = std::get_if<std::string>(&correlation_id)) request->sequence_name = *name;
  request->sequence_start = sequence_start;
  request->sequence_end = sequence_end;
  request->timeout_us = timeout_us;
  request->trace_number = trace_number;
  if (!many) refuse_many(*request);
  if (const Status status = core->engine.begin_call(caller, *request); !status.ok()) throw Error(status);
  return std::make_unique<LocalRequest>(core, std::move(request));
}

[[noreturn]] void raise_exception(const py::object& error);

py::object run(const std::shared_ptr<Core>& core, LocalRequest& local, const py::object& cancelled) {
  auto request = local.take();
  GatheringSink sink(1);
  request->sink = &sink;
  Request* const out = request.get();
  Status refused;
  bool home = false;
  {
    const py::gil_scoped_release release;
    refused = core->engine.submit(request);
    if (refused.ok()) home = sink.wait(core->engine.clock().now_ns() + kLookEveryNs);
  }
  if (!refused.ok()) {
    request.reset();
    core->bin->empty();
    raise_status(refused);
  }
  std::optional<py::error_already_set> failed;
  while (!home) {
    try {
      if (!cancelled.is_none() && cancelled().cast<bool>()) {
        out->cancelled.store(true, std::memory_order_relaxed);
      }
    } catch (const py::error_already_set& error) {
      failed = error;
      out->cancelled.store(true, std::memory_order_relaxed);
    }
    const py::gil_scoped_release release;
    home = sink.wait(core->engine.clock().now_ns() + kLookEveryNs);
  }
  GatheringSink::Home& answer = sink.homes().front();
  const bool is_refused = answer.response.is_refused;
  py::object shown = answer.response.status.ok()
                         ? make_result(core, *answer.request, std::move(answer.response))
                         : to_exception(answer.response.status);
  answer.request.reset();
  core->bin->empty();
  if (failed) throw *failed;  // NOLINT(hicpp-exception-baseclass,cert-err09-cpp,cert-err61-cpp)
  if (is_refused) raise_exception(shown);
  return shown;
}

[[noreturn]] void raise_exception(const py::object& error) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw py::error_already_set();
}

}  // namespace

std::unique_ptr<Request> LocalRequest::take() {
  if (!request_) throw Error(Code::kInvalidArgument, "the request has been submitted already");
  return std::move(request_);
}

void refuse_many(Request& request) {
  const std::string model(request.model_name);
  request.refusal_of_many = request.text.emplace_back(
      "Model " + model +
      " is using the decoupled. The current BLS request call doesn't support models using the decoupled "
      "transaction policy. Please use 'decoupled=True' argument to the 'exec' or 'async_exec' calls for "
      "decoupled models.'");
}

void register_local_request(py::module_& module) {
  py::class_<LocalRequest>(module, "LocalRequest")
      .def(py::init(&make), py::arg("engine"), py::arg("model"), py::arg("version"), py::arg("inputs"),
           py::arg("outputs") = std::vector<std::string>{}, py::arg("request_id") = "",
           py::arg("parameters") = py::none(), py::arg("correlation_id") = std::uint64_t{0},
           py::arg("sequence_start") = false, py::arg("sequence_end") = false, py::arg("timeout_us") = 0,
           py::arg("many") = false, py::arg("caller") = 0, py::arg("trace_number") = 0);
  module.def("run_local", &run, py::arg("engine"), py::arg("request"), py::arg("cancelled") = py::none());
}

}  // namespace naiad
