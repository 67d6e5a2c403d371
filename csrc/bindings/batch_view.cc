#include "bindings/batch_view.h"

#include <pybind11/stl.h>

#include <span>
#include <utility>

#include "bindings/arrays.h"
#include "bindings/core.h"
#include "bindings/errors.h"

namespace naiad {
namespace {

py::array writable(py::array array) {
  py::detail::array_proxy(array.ptr())->flags |= py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

// Another array over the same memory, which it keeps alive.
py::array writable_view(const py::array& array) {
  const std::vector<py::ssize_t> shape(array.shape(), array.shape() + array.ndim());
  const std::vector<py::ssize_t> strides(array.strides(), array.strides() + array.ndim());
  return writable(py::array(array.dtype(), shape, strides, array.data(), array));
}

}  // namespace

Execution& BatchView::execution() const {
  if (link_->execution == nullptr) {
    throw Error(Code::kInvalidArgument, "a batch cannot be used after execute_batch() has returned");
  }
  return *link_->execution;
}

bool BatchView::cancelled() const {
  const Execution& run = execution();
  for (std::size_t k = 0; k < run.num_requests(); ++k) {
    if (!run.request(k).is_cancelled()) return false;
  }
  return true;
}

std::vector<std::string> wanted_outputs_of(const Execution& run) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < run.model().outputs.size(); ++i) {
    bool wanted = false;
    for (std::size_t k = 0; k < run.num_requests() && !wanted; ++k) wanted = run.request(k).wanted[i];
    if (wanted) names.push_back(run.model().outputs[i].name);
  }
  return names;
}

std::vector<std::string> BatchView::wanted_outputs() const {
  return wanted_outputs_of(execution());
}

py::list BatchView::inputs() {
  Execution& run = execution();
  py::list list;
  for (std::size_t i = 0; i < run.model().inputs.size(); ++i) {
    const TensorSpec& spec = run.model().inputs[i];
    Tensor tensor;
    {
      const py::gil_scoped_release release;  // it may copy megabytes
      tensor = run.input(i);
    }
    if (!tensor.present()) continue;
    py::array array = array_of_tensor(tensor, {nullptr, tensor.owner});
    // What was gathered, or made of the batch, nobody else sees; a single request's own bytes others may.
    const bool is_shared = !spec.generated && run.request(0).inputs[i].data == tensor.data;
    if (!is_shared && tensor.dtype != DataType::kBytes) array = writable(std::move(array));
    list.append(py::make_tuple(spec.name, std::string(dtype_name(tensor.dtype)), std::move(array)));
  }
  run.inputs_ready();
  return list;
}

void BatchView::output(const std::string& name, const std::string& datatype, const py::array& array) {
  Execution& run = execution();
  mark_outputs();
  const std::size_t index = output_index(run.model(), name, datatype);
  run.output(index, copy_of_array(array, run.model().outputs[index].dtype, run.pool()));
}

py::array BatchView::place(const std::string& name, const std::string& datatype,
                           const std::vector<std::int64_t>& shape) {
  Execution& run = execution();
  mark_outputs();
  const std::size_t index = output_index(run.model(), name, datatype);
  const DataType dtype = run.model().outputs[index].dtype;
  if (dtype == DataType::kBytes) {
    throw Error(Code::kInvalidArgument, "output '" + name + "' of BYTES has no place of a known size");
  }
  const Shape dims{std::span<const std::int64_t>(shape)};
  const auto size_bytes = dims.size_bytes(dtype);
  if (!size_bytes) {
    throw Error(Code::kInvalidArgument, "output '" + name + "' can not have shape " + dims.to_string());
  }
  BufferRef block = run.allocate(*size_bytes);
  const Tensor tensor{dtype, dims, block->data(), *size_bytes, block};
  run.output(index, tensor);
  return writable(array_of_tensor(tensor, {nullptr, tensor.owner}));
}

void BatchView::mark_outputs() {
  if (!std::exchange(has_outputs_, true)) execution().outputs_ready();
}

void register_batch_view(py::module_& module) {
  module.def("writable_view", &writable_view, py::arg("array"));
  py::class_<BatchView>(module, "BatchView")
      .def_property_readonly("num_requests", &BatchView::num_requests)
      .def_property_readonly("num_rows", &BatchView::num_rows)
      .def_property_readonly("cancelled", &BatchView::cancelled)
      .def_property_readonly("instance", &BatchView::instance)
      .def_property_readonly("wanted_outputs", &BatchView::wanted_outputs)
      .def("inputs", &BatchView::inputs)
      .def("output", &BatchView::output, py::arg("name"), py::arg("datatype"), py::arg("array"))
      .def("place", &BatchView::place, py::arg("name"), py::arg("datatype"), py::arg("shape"));
}

}  // namespace naiad
