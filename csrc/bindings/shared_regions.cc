#include "memory/shared_regions.h"

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/errors.h"

namespace naiad {
namespace {

namespace py = pybind11;

// (name, key, offset in bytes, size in bytes) of each.
py::list list_regions(const SharedRegions& regions, const std::string& name) {
  std::vector<std::shared_ptr<const SharedRegion>> found;
  const Status status = regions.list(name, found);
  if (!status.ok()) raise_status(status);
  py::list rows;
  for (const auto& region : found) {
    rows.append(py::make_tuple(region->name(), region->key(), region->offset_bytes(), region->size_bytes()));
  }
  return rows;
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
      .def(
          "unregister", [](SharedRegions& regions, const std::string& name) { regions.unregister(name); },
          py::arg("name"), py::call_guard<py::gil_scoped_release>())
      .def("unregister_all", &SharedRegions::unregister_all, py::call_guard<py::gil_scoped_release>())
      .def("list", &list_regions, py::arg("name") = "");
}

}  // namespace naiad
