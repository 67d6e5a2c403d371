#include "bindings/device_batch_view.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/batch_view.h"
#include "bindings/core.h"
#include "bindings/dlpack_export.h"
#include "bindings/errors.h"

namespace naiad {

py::object input_object(const Tensor& tensor) {
  if (tensor.is_on_gpu()) return py::cast(GpuTensor{tensor});
  return array_of_tensor(tensor, {nullptr, tensor.owner});
}

DeviceBatch& DeviceBatchView::batch() const {
  if (link_->batch == nullptr) {
    throw Error(Code::kInvalidArgument, "a batch cannot be used after enqueue() has returned");
  }
  return *link_->batch;
}

std::vector<std::string> DeviceBatchView::wanted_outputs() const {
  return wanted_outputs_of(batch().execution());
}

py::list DeviceBatchView::inputs() {
  DeviceBatch& batch = this->batch();
  const ModelSpec& model = batch.execution().model();
  py::list list;
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    Tensor tensor = batch.input(i);
    if (!tensor.present()) continue;
    const std::string datatype(dtype_name(tensor.dtype));
    // DLPack knows no tensor that is not to be written to: what others may read is copied.
    if (tensor.is_on_gpu() && batch.execution().request(0).inputs[i].data == tensor.data) {
      BufferRef block = batch.allocate(tensor.size_bytes);
      if (tensor.size_bytes != 0) {
        check_device(batch.stream().copy_within(block->data(), tensor.bytes()), "copy within the GPU");
      }
      tensor.data = block->data();
      tensor.owner = std::move(block);
    }
    list.append(py::make_tuple(model.inputs[i].name, datatype, input_object(tensor)));
  }
  return list;
}

void DeviceBatchView::output(const std::string& name, const std::string& datatype, const py::array& array) {
  Execution& run = batch().execution();
  const std::size_t index = output_index(run.model(), name, datatype);
  batch().output(index, copy_of_array(array, run.model().outputs[index].dtype, run.pool()));
}

GpuTensor DeviceBatchView::place(const std::string& name, const std::string& datatype,
                                 const std::vector<std::int64_t>& shape) {
  DeviceBatch& batch = this->batch();
  const ModelSpec& model = batch.execution().model();
  const std::size_t index = output_index(model, name, datatype);
  const DataType dtype = model.outputs[index].dtype;
  const Shape dims{std::span<const std::int64_t>(shape)};
  const auto size_bytes = dims.size_bytes(dtype);
  if (dtype == DataType::kBytes || !size_bytes) {
    throw Error(Code::kInvalidArgument, "output '" + name + "' of " + std::string(dtype_name(dtype)) +
                                            " can not have shape " + dims.to_string() + " on a GPU");
  }
  BufferRef block = batch.allocate(std::max<std::size_t>(*size_bytes, 1));
  const Tensor tensor{dtype, dims, block->data(), *size_bytes, block};
  batch.output(index, tensor);
  return {tensor};
}

void register_device_batch_view(py::module_& module) {
  py::class_<GpuTensor>(module, "GpuTensor")
      .def_property_readonly("datatype",
                             [](const GpuTensor& self) { return std::string(dtype_name(self.tensor.dtype)); })
      .def_property_readonly("shape", [](const GpuTensor& self) { return shape_tuple(self.tensor.shape); })
      .def_property_readonly(
          "address", [](const GpuTensor& self) { return reinterpret_cast<std::uintptr_t>(self.tensor.data); })
      .def("__dlpack__",
           [](const GpuTensor& self, const py::kwargs&) { return dlpack_capsule(self.tensor, nullptr); })
      .def("__dlpack_device__", [](const GpuTensor& self) {
        const dlpack::Device device = dlpack_device(self.tensor);
        return py::make_tuple(device.kind, device.id);
      });
  py::class_<DeviceBatchView>(module, "DeviceBatchView")
      .def_property_readonly("num_requests", &DeviceBatchView::num_requests)
      .def_property_readonly("num_rows", &DeviceBatchView::num_rows)
      .def_property_readonly("slot", &DeviceBatchView::slot)
      .def_property_readonly("wanted_outputs", &DeviceBatchView::wanted_outputs)
      .def("inputs", &DeviceBatchView::inputs)
      .def("output", &DeviceBatchView::output, py::arg("name"), py::arg("datatype"), py::arg("array"))
      .def("place", &DeviceBatchView::place, py::arg("name"), py::arg("datatype"), py::arg("shape"));
}

}  // namespace naiad
