#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/core.h"
#include "bindings/errors.h"
#include "bindings/gathering_sink.h"

namespace naiad {
namespace {

py::list infer_many(const std::shared_ptr<Core>& core, const std::string& model, const std::string& version,
                    const std::vector<py::dict>& inputs, const std::vector<std::string>& outputs) {
  std::vector<std::unique_ptr<Request>> requests;
  requests.reserve(inputs.size());
  for (const py::dict& one : inputs) {
    requests.push_back(make_local_request(core, model, version, one, outputs, "", py::none()));
  }
  GatheringSink sink(inputs.size());
  if (!inputs.empty()) {
    const py::gil_scoped_release release;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      requests[i]->sink = &sink;
      requests[i]->tag = i;
      if (Status status = core->engine.submit(requests[i]); !status.ok()) sink.refuse(i, std::move(status));
    }
    sink.wait();
  }
  py::list results(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    GatheringSink::Home& home = sink.homes()[i];
    results[i] = home.response.status.ok() ? make_result(core, *home.request, std::move(home.response))
                                           : to_exception(home.response.status);
    home.request.reset();
  }
  requests.clear();
  core->bin->empty();
  return results;
}

}  // namespace

void register_infer_many(py::module_& module) {
  module.def("infer_many", &infer_many, py::arg("engine"), py::arg("model"), py::arg("version"),
             py::arg("inputs"), py::kw_only(), py::arg("outputs") = std::vector<std::string>{});
}

}  // namespace naiad
