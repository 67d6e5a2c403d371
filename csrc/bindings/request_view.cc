#include "bindings/request_view.h"

#include <pybind11/stl.h>

#include <cstring>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/core.h"
#include "bindings/device_batch_view.h"
#include "bindings/errors.h"
#include "request/response_window.h"

namespace naiad {
namespace {

Status status_named(const std::string& code, const std::string& message) {
  for (int i = static_cast<int>(Code::kInvalidArgument); i <= static_cast<int>(Code::kUnknown); ++i) {
    if (code_name(static_cast<Code>(i)) == code) return {static_cast<Code>(i), message};
  }
  throw Error(Code::kInvalidArgument, "there is no error code '" + code + "'");
}

// What a model may look at of a request that has left for its sender.
std::shared_ptr<const Request> said_by(const Request& request) {
  auto said = std::make_shared<Request>();
  said->id = request.id;
  said->parameters = request.parameters;
  said->sequence_id = request.sequence_id;
  said->sequence_name = request.sequence_name;
  said->sequence_start = request.sequence_start;
  said->sequence_end = request.sequence_end;
  said->priority = request.priority;
  said->timeout_us = request.timeout_us;
  said->spec = request.spec;
  said->inputs = request.inputs;
  said->wanted = request.wanted;
  said->num_rows = request.num_rows;
  return said;
}

}  // namespace

std::size_t output_index(const ModelSpec& model, const std::string& name, const std::string& datatype) {
  const auto index = model.output_index(name);
  if (!index) {
    throw Error(Code::kInvalidArgument,
                "unexpected inference output '" + name + "' for model '" + model.name + "'");
  }
  const TensorSpec& spec = model.outputs[*index];
  if (dtype_from_name(datatype).value_or(DataType::kInvalid) != spec.dtype) {
    throw Error(Code::kInvalidArgument,
                "output '" + name + "' of model '" + model.name + "' has data-type '" + datatype +
                    "', but the configuration says '" + std::string(dtype_name(spec.dtype)) + "'");
  }
  return *index;
}

Tensor copy_of_array(const py::array& array, DataType dtype, TensorPool& pool) {
  if (dtype == DataType::kBytes) return encode_bytes_array(array, pool);
  if (dtype_of_numpy(array.dtype(), dtype) != dtype) {
    throw Error(Code::kInvalidArgument, "an array of type " + py::str(array.dtype()).cast<std::string>() +
                                            " was given as " + std::string(dtype_name(dtype)));
  }
  const py::array rows = py::array::ensure(array, py::array::c_style);
  const auto size_bytes = static_cast<std::size_t>(rows.nbytes());
  BufferRef block = allocate_output(pool, size_bytes);
  if (size_bytes != 0) std::memcpy(block->data(), rows.data(), size_bytes);
  Shape shape;
  for (py::ssize_t i = 0; i < rows.ndim(); ++i) shape.push_back(rows.shape(i));
  return {dtype, std::move(shape), block->data(), size_bytes, std::move(block)};
}

void OpenSenders::add(const std::shared_ptr<ResponseSender>& sender) {
  const std::lock_guard lock(mutex_);
  std::erase_if(senders_, [](const auto& other) { return other.expired(); });
  senders_.push_back(sender);
}

void OpenSenders::abandon() {
  const std::lock_guard lock(mutex_);
  for (const auto& each : senders_) {
    if (const auto sender = each.lock()) sender->abandon();
  }
}

SenderObject::~SenderObject() {
  const py::gil_scoped_release release;  // it may have to send the last response
  sender_.reset();
}

void SenderObject::send(const std::vector<GivenOutput>& outputs, const py::object& parameters, bool is_last) {
  Response response;
  for (const auto& [name, datatype, array] : outputs) {
    const std::size_t index = output_index(sender_->model(), name, datatype);
    const DataType dtype = sender_->model().outputs[index].dtype;
    response.outputs.push_back({index, copy_of_array(array, dtype, sender_->pool())});
  }
  if (!parameters.is_none()) {
    for (const auto& [key, value] : parameters.cast<py::dict>()) {
      auto name = key.cast<std::string>();
      ParameterValue held = parameter_from_python(name, value);
      response.parameters.push_back({std::move(name), std::move(held)});
    }
  }
  give(std::move(response), is_last);
}

void SenderObject::fail(const std::string& code, const std::string& message, bool is_last) {
  Response response;
  response.status = status_named(code, message);
  give(std::move(response), is_last);
}

void SenderObject::finish() {
  Status status;
  {
    const py::gil_scoped_release release;
    status = sender_->finish();
  }
  if (!status.ok()) raise_status(status);
}

bool SenderObject::is_full() const {
  const auto window = sender_->window();
  return window != nullptr && window->is_full();
}

void SenderObject::give(Response response, bool is_last) {
  Status status;
  {
    const py::gil_scoped_release release;
    status = sender_->send(std::move(response), is_last);
  }
  if (!status.ok()) raise_status(status);
}

Execution& RequestView::execution() const {
  if (link_->execution == nullptr) {
    throw Error(Code::kInvalidArgument, "a request cannot be used after execute() has returned");
  }
  return *link_->execution;
}

const Request& RequestView::request() const {
  return kept_ ? *kept_ : execution().request(k_);
}

bool RequestView::cancelled() const {
  if (!kept_) return request().is_cancelled();
  const auto sender = sender_.lock();
  return sender != nullptr && sender->cancelled();
}

py::list RequestView::inputs() const {
  py::list list;
  const Request& request = this->request();
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const Tensor& tensor = request.inputs[i];
    if (!tensor.present()) continue;
    list.append(py::make_tuple(request.spec->inputs[i].name, std::string(dtype_name(tensor.dtype)),
                               input_object(tensor)));
  }
  return list;
}

py::list RequestView::requested_outputs() const {
  py::list names;
  const Request& request = this->request();
  for (std::size_t i = 0; i < request.wanted.size(); ++i) {
    if (request.wanted[i]) names.append(request.spec->outputs[i].name);
  }
  return names;
}

void RequestView::output(const std::string& name, const std::string& datatype, const py::array& array) {
  Execution& run = execution();
  const std::size_t index = output_index(run.model(), name, datatype);
  run.output(k_, index, copy_of_array(array, run.model().outputs[index].dtype, run.pool()));
}

void RequestView::parameter(const std::string& name, const py::handle& value) {
  execution().parameter(k_, {name, parameter_from_python(name, value)});
}

void RequestView::fail(const std::string& code, const std::string& message) {
  execution().fail(k_, status_named(code, message));
}

bool RequestView::can_reschedule() const {
  const auto& sequence = request().spec->sequence;
  return sequence && sequence->iterative;
}

void RequestView::reschedule() {
  if (!kept_) {
    execution().reschedule(k_);
    return;
  }
  Status status;
  {
    const py::gil_scoped_release release;
    if (const auto sender = sender_.lock()) status = sender->reschedule();
  }
  if (!status.ok()) raise_status(status);
}

std::unique_ptr<SenderObject> RequestView::keep() {
  Execution& run = execution();
  if (kept_) throw Error(Code::kInvalidArgument, "the request is kept already");
  kept_ = said_by(run.request(k_));
  std::shared_ptr<ResponseSender> sender = run.keep(k_);
  sender_ = sender;
  link_->senders->add(sender);
  return std::make_unique<SenderObject>(std::move(sender));
}

void register_request_view(py::module_& module) {
  py::class_<RequestView>(module, "RequestView")
      .def_property_readonly("id", [](const RequestView& view) { return view.request().id; })
      .def_property_readonly("trace_number",
                             [](const RequestView& view) { return view.request().trace_number; })
      .def_property_readonly("trace_parent",
                             [](const RequestView& view) { return view.request().trace_parent; })
      .def_property_readonly(
          "trace_state",
          [](const RequestView& view) {
            return py::bytes(view.request().trace_state).attr("decode")("utf-8", "replace");
          })
      .def_property_readonly("model_name", [](const RequestView& view) { return view.request().spec->name; })
      .def_property_readonly("model_version",
                             [](const RequestView& view) { return view.request().spec->version; })
      .def_property_readonly("sequence_id",
                             [](const RequestView& view) { return view.request().sequence_id; })
      .def_property_readonly("sequence_name",
                             [](const RequestView& view) { return view.request().sequence_name; })
      .def_property_readonly("sequence_start",
                             [](const RequestView& view) { return view.request().sequence_start; })
      .def_property_readonly("sequence_end",
                             [](const RequestView& view) { return view.request().sequence_end; })
      .def_property_readonly("timeout_us", [](const RequestView& view) { return view.request().timeout_us; })
      .def_property_readonly("priority", [](const RequestView& view) { return view.request().priority; })
      .def_property_readonly("parameters",
                             [](const RequestView& view) { return to_python(view.request().parameters); })
      .def_property_readonly("requested_outputs", &RequestView::requested_outputs)
      .def_property_readonly("cancelled", &RequestView::cancelled)
      .def_property_readonly("instance", &RequestView::instance)
      .def("inputs", &RequestView::inputs)
      .def("output", &RequestView::output, py::arg("name"), py::arg("datatype"), py::arg("array"))
      .def("parameter", &RequestView::parameter, py::arg("name"), py::arg("value"))
      .def("fail", &RequestView::fail, py::arg("code"), py::arg("message"))
      .def_property_readonly("can_reschedule", &RequestView::can_reschedule)
      .def("reschedule", &RequestView::reschedule)
      .def("keep", &RequestView::keep);
  py::class_<SenderObject>(module, "ResponseSender")
      .def("send", &SenderObject::send, py::arg("outputs"), py::arg("parameters"), py::kw_only(),
           py::arg("last"))
      .def("fail", &SenderObject::fail, py::arg("code"), py::arg("message"), py::kw_only(), py::arg("last"))
      .def("finish", &SenderObject::finish)
      .def_property_readonly("is_full", &SenderObject::is_full)
      .def_property_readonly("cancelled", &SenderObject::cancelled);
}

}  // namespace naiad
