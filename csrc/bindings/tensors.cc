#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/core.h"
#include "bindings/dlpack_export.h"
#include "bindings/errors.h"

namespace naiad {
namespace {

// A tensor of a response, as Python sees it.
struct TensorObject {
  std::string name;
  std::shared_ptr<Core> core;  // before the tensor: its buffer goes first
  Tensor tensor;

  PoolShare share() const { return {core, tensor.owner}; }
};

py::capsule export_dlpack(const TensorObject& self) {
  if (self.tensor.dtype == DataType::kBytes) {
    throw Error(Code::kUnsupported, "tensor '" + self.name + "' of BYTES has no DLPack form");
  }
  return dlpack_capsule(self.tensor, self.core);
}

// naiad._core.Result.
struct ResultObject {
  std::string id;
  py::dict parameters;
  py::dict outputs;
};

}  // namespace

py::object make_result(const std::shared_ptr<Core>& core, const Request& request, Response response) {
  ResultObject result;
  result.id = request.id;
  result.parameters = to_python(response.parameters);
  for (OutputTensor& output : response.outputs) {
    const std::string& name = request.spec->outputs[output.index].name;
    result.outputs[py::str(name)] = py::cast(TensorObject{name, core, std::move(output.tensor)});
  }
  return py::cast(std::move(result));
}

void register_tensors(py::module_& module) {
  py::class_<TensorObject>(module, "Tensor", py::buffer_protocol())
      .def_readonly("name", &TensorObject::name)
      .def_property_readonly(
          "datatype", [](const TensorObject& self) { return std::string(dtype_name(self.tensor.dtype)); })
      .def_property_readonly("shape", [](const TensorObject& self) { return shape_tuple(self.tensor.shape); })
      .def_property_readonly("size_bytes", [](const TensorObject& self) { return self.tensor.size_bytes; })
      .def("numpy", [](const TensorObject& self) { return array_of_tensor(self.tensor, self.share()); })
      .def("__dlpack__", [](const TensorObject& self, const py::kwargs&) { return export_dlpack(self); })
      .def("__dlpack_device__", [](const TensorObject&) { return py::make_tuple(dlpack::kCpu, 0); })
      .def_buffer([](TensorObject& self) {
        return py::buffer_info(const_cast<std::byte*>(self.tensor.data), 1, "B", 1,
                               {static_cast<py::ssize_t>(self.tensor.size_bytes)}, {py::ssize_t{1}}, true);
      });

  py::class_<ResultObject>(module, "Result")
      .def_readonly("id", &ResultObject::id)
      .def_readonly("parameters", &ResultObject::parameters)
      .def_readonly("outputs", &ResultObject::outputs);
}

}  // namespace naiad
