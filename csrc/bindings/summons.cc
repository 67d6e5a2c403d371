#include "engine/summons.h"

#include <pybind11/stl.h>

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "bindings/core.h"

namespace naiad {
namespace {

// naiad._core.Summons: that of an engine.
class SummonsObject {
 public:
  explicit SummonsObject(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  Summons& summons() { return core_->engine.summons(); }
  // Requests that came home may leave buffers of Python behind.
  void empty_bin() { core_->bin->empty(); }

 private:
  const std::shared_ptr<Core> core_;
};

py::object take(SummonsObject& self) {
  std::optional<std::string> name;
  {
    const py::gil_scoped_release release;
    name = self.summons().take();
  }
  return name ? py::cast(*name) : py::none();
}

void answer(SummonsObject& self, const std::string& name, const std::optional<std::string>& failure) {
  {
    const py::gil_scoped_release release;
    self.summons().answer(name, failure ? Status(Code::kUnavailable, *failure) : Status());
  }
  self.empty_bin();
}

}  // namespace

void register_summons(py::module_& module) {
  py::class_<SummonsObject>(module, "Summons")
      .def(py::init<std::shared_ptr<Core>>(), py::arg("engine"))
      .def(
          "allow",
          [](SummonsObject& self, std::set<std::string, std::less<>> names) {
            const py::gil_scoped_release release;
            self.summons().allow(std::move(names));
          },
          py::arg("names"))
      .def(
          "takes", [](SummonsObject& self, const std::string& name) { return self.summons().takes(name); },
          py::arg("name"))
      .def("take", &take)
      .def("answer", &answer, py::arg("name"), py::arg("failure") = py::none())
      .def("close",
           [](SummonsObject& self) {
             {
               const py::gil_scoped_release release;
               self.summons().close();
             }
             self.empty_bin();
           })
      .def_property_readonly("num_parked", [](SummonsObject& self) { return self.summons().num_parked(); });
}

}  // namespace naiad
