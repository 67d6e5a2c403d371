#include <pybind11/pybind11.h>

#include <string>

#include "base/log.h"
#include "bindings/errors.h"
#include "memory/host_pinning.h"

namespace naiad {
namespace {

pybind11::dict build_facts() {
  pybind11::dict facts;
  facts["version"] = NAIAD_VERSION;
  facts["compiler"] = std::string("C++ ") + __VERSION__;
  facts["cuda"] = gpu_count() > 0 ? std::to_string(gpu_count()) + " GPU" : gpu_absence();
  return facts;
}

void set_log(bool info, bool warning, bool error, int verbose, const std::string& form,
             const std::string& file) {
  const pybind11::gil_scoped_release release;
  set_log_file(file);
  set_log_levels({.verbose = verbose > 0, .info = info, .warning = warning, .error = error});
  set_log_form(form == "json" ? LogForm::kJson : form == "ISO8601" ? LogForm::kIso8601 : LogForm::kDefault);
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  namespace py = pybind11;
  module.doc() = "The compiled core of naiad; see _core.pyi";
  register_errors();
  register_specs(module);
  register_shared_regions(module);
  register_tensors(module);
  register_request_view(module);
  register_batch_view(module);
  register_device_batch_view(module);
  register_response_store(module);
  register_engine(module);
  register_completion_queue(module);
  register_infer_many(module);
  register_local_request(module);
  register_worker(module);
  register_control_call(module);
  register_access(module);
  register_data_plane(module);
  register_tracing(module);
  register_summons(module);
  register_onnxruntime(module);
  module.def("build_facts", &build_facts);
  module.def("gpu_count", &gpu_count);
  module.def("gpu_absence", &gpu_absence);
  module.def("set_log", &set_log, py::kw_only(), py::arg("info"), py::arg("warning"), py::arg("error"),
             py::arg("verbose"), py::arg("form"), py::arg("file"));
}

}  // namespace naiad
