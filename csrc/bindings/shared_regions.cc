#include "memory/shared_regions.h"

#include <pybind11/pybind11.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/errors.h"

namespace naiad {
namespace {

namespace py = pybind11;

// (name, key, offset in bytes, size in bytes) of each.
py::list list_system(const SharedRegions& regions, const std::string& name) {
  std::vector<std::shared_ptr<const SystemRegion>> found;
  const Status status = regions.list_system(name, found);
  if (!status.ok()) raise_status(status);
  py::list rows;
  for (const auto& region : found) {
    rows.append(py::make_tuple(region->name(), region->key(), region->offset_bytes(), region->size_bytes()));
  }
  return rows;
}

// (name, device, size in bytes) of each.
py::list list_gpu(const SharedRegions& regions, const std::string& name) {
  std::vector<std::shared_ptr<const GpuRegion>> found;
  const Status status = regions.list_gpu(name, found);
  if (!status.ok()) raise_status(status);
  py::list rows;
  for (const auto& region : found) {
    rows.append(py::make_tuple(region->name(), region->device(), region->size_bytes()));
  }
  return rows;
}

void register_gpu(SharedRegions& regions, const std::string& name, const py::bytes& handle, int device,
                  std::uint64_t size_bytes) {
  const std::string_view bytes = handle;
  GpuMemoryHandle wire;
  if (bytes.size() != wire.size()) {
    raise_status({Code::kInvalidArgument, "a handle of CUDA memory has " + std::to_string(wire.size()) +
                                              " bytes, got " + std::to_string(bytes.size())});
  }
  std::memcpy(wire.data(), bytes.data(), bytes.size());
  Status status;
  {
    const py::gil_scoped_release release;
    status = regions.register_gpu(name, wire, device, size_bytes);
  }
  if (!status.ok()) raise_status(status);
}

void register_system(SharedRegions& regions, const std::string& name, const std::string& key,
                     std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  Status status;
  {
    const py::gil_scoped_release release;
    status = regions.register_system(name, key, offset_bytes, size_bytes);
  }
  if (!status.ok()) raise_status(status);
}

}  // namespace

void register_shared_regions(py::module_& module) {
  // The last use of a large object frees its pages: without the GIL.
  py::class_<SharedRegions, std::shared_ptr<SharedRegions>>(module, "SharedRegions")
      .def(py::init<>())
      .def("register_system", &register_system, py::arg("name"), py::arg("key"), py::arg("offset_bytes"),
           py::arg("size_bytes"))
      .def("register_gpu", &register_gpu, py::arg("name"), py::arg("handle"), py::arg("device"),
           py::arg("size_bytes"))
      .def("unregister_system", &SharedRegions::unregister_system, py::arg("name") = "",
           py::call_guard<py::gil_scoped_release>())
      .def("unregister_gpu", &SharedRegions::unregister_gpu, py::arg("name") = "",
           py::call_guard<py::gil_scoped_release>())
      .def("list_system", &list_system, py::arg("name") = "")
      .def("list_gpu", &list_gpu, py::arg("name") = "");
}

}  // namespace naiad
