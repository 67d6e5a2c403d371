#include "bindings/errors.h"

#include <string>
#include <utility>

namespace naiad {
namespace py = pybind11;

py::object to_exception(const Status& status) {
  // A message may quote bytes of a client that are not UTF-8.
  const auto message = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
      status.message().data(), static_cast<py::ssize_t>(status.message().size()), "replace"));
  return py::module_::import("naiad.errors")
      .attr("from_code")(std::string(code_name(status.code())), message);
}

void raise_status(const Status& status) {
  const py::object exception = to_exception(status);
  PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
  throw py::error_already_set();
}

Status status_of(const py::error_already_set& error) {
  const py::object base = py::module_::import("naiad.errors").attr("NaiadError");
  const auto message = py::str(error.value()).cast<std::string>();
  if (!py::isinstance(error.value(), base)) {
    return {Code::kInternal, py::str(error.type().attr("__name__")).cast<std::string>() + ": " + message};
  }
  const auto name = py::str(error.value().attr("code")).cast<std::string>();
  for (int code = static_cast<int>(Code::kInvalidArgument); code < static_cast<int>(Code::kUnknown); ++code) {
    if (code_name(static_cast<Code>(code)) == name) return {static_cast<Code>(code), message};
  }
  return {Code::kUnknown, message};
}

void register_errors() {
  // By value: the signature is pybind11's. NOLINTNEXTLINE(performance-unnecessary-value-param)
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      const py::object exception = to_exception(error.status());
      PyErr_SetObject(py::type::of(exception).ptr(), exception.ptr());
    }
  });
}

}  // namespace naiad
