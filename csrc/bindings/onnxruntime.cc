#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "backends/onnx_metadata.h"
#include "backends/onnx_runtime.h"
#include "backends/onnxruntime_backend.h"
#include "bindings/core.h"
#include "bindings/errors.h"

namespace naiad {
namespace {

// The device kind of the instances, the provider's name, its options.
using GivenProvider = std::tuple<std::string, std::string, std::vector<std::pair<std::string, std::string>>>;

py::list tensors(const std::vector<OnnxTensor>& list) {
  py::list out;
  for (const OnnxTensor& tensor : list) {
    py::dict dict;
    dict["name"] = tensor.name;
    dict["datatype"] = std::string(dtype_name(tensor.dtype));
    dict["dims"] = std::vector<std::int64_t>(tensor.dims.begin(), tensor.dims.end());
    out.append(dict);
  }
  return out;
}

py::dict metadata(const std::shared_ptr<OnnxRuntime>& runtime, const std::string& model_path) {
  OnnxMetadata read;
  {
    const py::gil_scoped_release release;
    read = read_onnx_metadata(runtime, model_path);
  }
  py::dict dict;
  dict["inputs"] = tensors(read.inputs);
  dict["defaulted_inputs"] = tensors(read.defaulted_inputs);
  dict["outputs"] = tensors(read.outputs);
  py::dict custom;
  // The file's own text: any bytes.
  for (const auto& [key, value] : read.custom) {
    custom[py::reinterpret_steal<py::str>(
        PyUnicode_DecodeUTF8(key.data(), static_cast<py::ssize_t>(key.size()), "replace"))] =
        py::reinterpret_steal<py::str>(
            PyUnicode_DecodeUTF8(value.data(), static_cast<py::ssize_t>(value.size()), "replace"));
  }
  dict["custom"] = custom;
  return dict;
}

}  // namespace

void register_onnxruntime(py::module_& module) {
  py::class_<OnnxRuntime, std::shared_ptr<OnnxRuntime>>(module, "OnnxRuntime")
      .def(py::init([](const std::string& library_path, std::optional<std::pair<int, int>> global_threads) {
             const py::gil_scoped_release release;
             std::optional<OnnxRuntime::GlobalThreads> threads;
             if (global_threads) threads = {global_threads->first, global_threads->second};
             return OnnxRuntime::open(library_path, threads);
           }),
           py::arg("library_path"), py::kw_only(), py::arg("global_threads") = std::nullopt)
      .def_property_readonly("providers", [](const OnnxRuntime& self) { return available_providers(self); })
      .def_property_readonly("version", [](const OnnxRuntime& self) { return self.version(); })
      .def(
          "factory",
          [](const std::shared_ptr<OnnxRuntime>& self, const std::string& model_path,
             const std::map<std::string, std::string>& options, const std::vector<GivenProvider>& providers) {
            std::vector<OnnxProvider> taken;
            for (const auto& [device, name, own] : providers) {
              taken.push_back({device == "GPU" ? DeviceKind::kGpu : DeviceKind::kCpu, name, own});
            }
            return BackendFactoryObject{
                make_onnxruntime_factory(self, model_path, options, std::move(taken))};
          },
          py::arg("model_path"), py::arg("options"), py::arg("providers") = std::vector<GivenProvider>())
      .def("metadata", &metadata, py::arg("model_path"));
}

}  // namespace naiad
