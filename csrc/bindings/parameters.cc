#include <limits>
#include <string>

#include "base/error.h"
#include "bindings/core.h"

namespace naiad {

py::object to_python(const ParameterValue& value) {
  return std::visit([](const auto& held) -> py::object { return py::cast(held); }, value);
}

py::dict to_python(const Parameters& parameters) {
  py::dict values;
  for (const Parameter& parameter : parameters) values[py::str(parameter.name)] = to_python(parameter.value);
  return values;
}

ParameterValue parameter_from_python(const std::string& name, const py::handle& value) {
  if (py::isinstance<py::bool_>(value)) return value.cast<bool>();
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  if (py::isinstance<py::float_>(value)) return value.cast<double>();
  if (py::isinstance<py::int_>(value)) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow == 0) return std::int64_t{number};
    if (overflow > 0) {
      const unsigned long long large = PyLong_AsUnsignedLongLong(value.ptr());
      if (PyErr_Occurred() == nullptr) return std::uint64_t{large};
      PyErr_Clear();
    }
    throw Error(Code::kInvalidArgument, "parameter '" + name + "' does not fit into 64 bits");
  }
  throw Error(Code::kInvalidArgument,
              "parameter '" + name + "' has invalid type. It should be either 'int', 'bool', or 'string'.");
}

void set_parameters(Request& request, const py::object& parameters) {
  if (parameters.is_none()) return;
  for (const auto& [key, value] : parameters.cast<py::dict>()) {
    auto name = key.cast<std::string>();
    ParameterValue held = parameter_from_python(name, value);
    request.parameters.push_back({std::move(name), std::move(held)});
  }
}

}  // namespace naiad
