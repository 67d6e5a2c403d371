#include "bindings/control_call.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "base/clock.h"
#include "bindings/errors.h"

namespace naiad {
namespace {

constexpr int kGrpcInternal = 13;

// What a client may have put anything into.
py::str to_str(const std::string& text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeLatin1(text.data(), static_cast<py::ssize_t>(text.size()), nullptr));
}

std::optional<double> seconds_left(const ControlCall& call) {
  if (call.deadline_ns() == 0) return std::nullopt;
  const std::uint64_t now_ns = SteadyClock().now_ns();
  return call.deadline_ns() <= now_ns ? 0.0 : static_cast<double>(call.deadline_ns() - now_ns) / 1e9;
}

}  // namespace

ControlCallObject::ControlCallObject(std::shared_ptr<void> plane, Bridge& bridge,
                                     std::shared_ptr<ControlCall> call, std::uint64_t number)
    : plane_(std::move(plane)), bridge_(bridge), call_(std::move(call)), number_(number) {
  call_->on_cancel([&bridge = bridge_, number] { bridge.push(ControlCancel{number}); });
}

ControlCallObject::~ControlCallObject() {
  if (!finished_) call_->finish(kGrpcInternal, "the call was not answered");
}

void ControlCallObject::read() {
  call_->read([&bridge = bridge_, number = number_](std::unique_ptr<std::string> message) {
    bridge.push(ControlMessage{number, std::move(message)});
  });
}

void ControlCallObject::write(std::string message) {
  call_->write(std::move(message));
}

void ControlCallObject::finish(int grpc_status, std::string message) {
  if (finished_) throw Error(Code::kInvalidArgument, "the call has ended already");
  finished_ = true;
  call_->finish(grpc_status, std::move(message));
}

void register_control_call(py::module_& module) {
  py::class_<ControlCallObject>(module, "ControlCall")
      .def_property_readonly("number", &ControlCallObject::number)
      .def_property_readonly("method",
                             [](const ControlCallObject& self) { return to_str(self.call().method()); })
      .def_property_readonly("metadata",
                             [](const ControlCallObject& self) {
                               py::list metadata;
                               for (const auto& [name, value] : self.call().metadata()) {
                                 metadata.append(py::make_tuple(to_str(name), py::bytes(value)));
                               }
                               return metadata;
                             })
      .def_property_readonly("seconds_left",
                             [](const ControlCallObject& self) { return seconds_left(self.call()); })
      .def("read", &ControlCallObject::read)
      .def(
          "write",
          [](ControlCallObject& self, const py::bytes& message) { self.write(std::string(message)); },
          py::arg("message"))
      .def("finish", &ControlCallObject::finish, py::arg("status"), py::arg("message"));
}

}  // namespace naiad
