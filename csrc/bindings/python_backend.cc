#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "bindings/arrays.h"
#include "bindings/core.h"
#include "bindings/errors.h"
#include "execute/backend.h"
#include "execute/execution.h"

namespace naiad {
namespace {

// The Python state of an instance's thread, kept for its life: entering is cheap, and thread-local and
// context variables of the model persist.
class PythonThread {
 public:
  PythonThread() : state_(PyGILState_Ensure()), saved_(PyEval_SaveThread()) {}
  ~PythonThread() {
    PyEval_RestoreThread(saved_);
    PyGILState_Release(state_);
  }
  PythonThread(const PythonThread&) = delete;
  PythonThread& operator=(const PythonThread&) = delete;

  // The GIL, while it lives.
  class Entered {
   public:
    explicit Entered(PythonThread& thread) : thread_(thread) { PyEval_RestoreThread(thread_.saved_); }
    ~Entered() { thread_.saved_ = PyEval_SaveThread(); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    PythonThread& thread_;
  };

 private:
  PyGILState_STATE state_;
  PyThreadState* saved_;
};

// The batch that RequestViews look at; cut when execute() has returned.
struct ExecutionLink {
  Execution* execution = nullptr;
};

// naiad._core.RequestView: request `k` of the batch.
class RequestView {
 public:
  RequestView(std::shared_ptr<ExecutionLink> link, std::size_t k) : link_(std::move(link)), k_(k) {}

  const Request& request() const { return execution().request(k_); }

  py::list inputs() const {
    py::list list;
    const Request& request = this->request();
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
      const Tensor& tensor = request.inputs[i];
      if (!tensor.present()) continue;
      list.append(py::make_tuple(request.spec->inputs[i].name, std::string(dtype_name(tensor.dtype)),
                                 array_of_tensor(tensor, {nullptr, tensor.owner})));
    }
    return list;
  }

  py::list requested_outputs() const {
    py::list names;
    const Request& request = this->request();
    for (std::size_t i = 0; i < request.wanted.size(); ++i) {
      if (request.wanted[i]) names.append(request.spec->outputs[i].name);
    }
    return names;
  }

  // Copied into the pool: a model may use its array again as soon as execute() has returned.
  void output(const std::string& name, const std::string& datatype, const py::array& array) {
    Execution& run = execution();
    const ModelSpec& model = run.model();
    const auto index = model.output_index(name);
    if (!index) {
      throw Error(Code::kInvalidArgument,
                  "unexpected inference output '" + name + "' for model '" + model.name + "'");
    }
    const TensorSpec& spec = model.outputs[*index];
    const DataType dtype = dtype_from_name(datatype).value_or(DataType::kInvalid);
    if (dtype != spec.dtype) {
      throw Error(Code::kInvalidArgument,
                  "output '" + name + "' of model '" + model.name + "' has data-type '" + datatype +
                      "', but the configuration says '" + std::string(dtype_name(spec.dtype)) + "'");
    }
    run.output(k_, *index, copy(array, dtype));
  }

  void parameter(const std::string& name, const py::handle& value) {
    execution().parameter(k_, {name, parameter_from_python(name, value)});
  }

  void fail(const std::string& code, const std::string& message) {
    execution().fail(k_, status_named(code, message));
  }

 private:
  Execution& execution() const {
    if (link_->execution == nullptr) {
      throw Error(Code::kInvalidArgument, "a request cannot be used after execute() has returned");
    }
    return *link_->execution;
  }

  Tensor copy(const py::array& array, DataType dtype) {
    Execution& run = execution();
    if (dtype == DataType::kBytes) return encode_bytes_array(array, run.pool());
    if (dtype_of_numpy(array.dtype(), dtype) != dtype) {
      throw Error(Code::kInvalidArgument, "an array of type " + py::str(array.dtype()).cast<std::string>() +
                                              " was given as " + std::string(dtype_name(dtype)));
    }
    const py::array rows = py::array::ensure(array, py::array::c_style);
    const auto size_bytes = static_cast<std::size_t>(rows.nbytes());
    BufferRef block = run.allocate(size_bytes);
    if (size_bytes != 0) std::memcpy(block->data(), rows.data(), size_bytes);
    Shape shape;
    for (py::ssize_t i = 0; i < rows.ndim(); ++i) shape.push_back(rows.shape(i));
    return {dtype, std::move(shape), block->data(), size_bytes, std::move(block)};
  }

  static Status status_named(const std::string& code, const std::string& message) {
    for (int i = static_cast<int>(Code::kInvalidArgument); i <= static_cast<int>(Code::kUnknown); ++i) {
      if (code_name(static_cast<Code>(i)) == code) return {static_cast<Code>(i), message};
    }
    throw Error(Code::kInvalidArgument, "there is no error code '" + code + "'");
  }

  std::shared_ptr<ExecutionLink> link_;
  std::size_t k_;
};

// Runs a PythonInstance of _core.pyi: one call, and one crossing of the language border, per batch.
class PythonBackend final : public Backend {
 public:
  PythonBackend(const py::function& make, const InstanceSpec& spec) : name_(spec.name) {
    const PythonThread::Entered entered(thread_);
    try {
      instance_ = make(spec.name, spec.device.kind == DeviceKind::kGpu ? "GPU" : "CPU", spec.device.id);
      execute_ = instance_.attr("execute");
    } catch (const py::error_already_set& error) {
      const Status status = status_of(error);
      throw Error(status);
    }
  }

  ~PythonBackend() override {
    const PythonThread::Entered entered(thread_);
    try {
      instance_.attr("finalize")();
    } catch (const py::error_already_set& error) {
      log_error("finalize of model instance '" + name_ + "' failed: " + status_of(error).message());
    }
    execute_ = py::object();
    instance_ = py::object();
  }

  void execute(Execution& execution) override {
    const PythonThread::Entered entered(thread_);
    const auto link = std::make_shared<ExecutionLink>(ExecutionLink{&execution});
    execution.inputs_ready();
    try {
      py::list requests(execution.num_requests());
      for (std::size_t k = 0; k < execution.num_requests(); ++k) {
        requests[k] = py::cast(RequestView(link, k));
      }
      execute_(requests);
      link->execution = nullptr;
    } catch (const py::error_already_set& error) {
      link->execution = nullptr;
      throw Error(status_of(error));
    }
    execution.outputs_ready();
  }

 private:
  PythonThread thread_;
  std::string name_;
  py::object instance_;
  py::object execute_;
};

}  // namespace

BackendFactory make_python_factory(py::function make) {
  // The factory is copied and dropped by threads that do not hold the GIL.
  const std::shared_ptr<py::function> shared(std::make_unique<py::function>(std::move(make)).release(),
                                             [](py::function* function) {
                                               const py::gil_scoped_acquire gil;
                                               const std::unique_ptr<py::function> dropped(function);
                                             });
  return [shared](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    return std::make_unique<PythonBackend>(*shared, spec);
  };
}

void register_request_view(py::module_& module) {
  py::class_<RequestView>(module, "RequestView")
      .def_property_readonly("id", [](const RequestView& view) { return view.request().id; })
      .def_property_readonly("sequence_id",
                             [](const RequestView& view) { return view.request().sequence_id; })
      .def_property_readonly("sequence_name",
                             [](const RequestView& view) { return view.request().sequence_name; })
      .def_property_readonly("sequence_start",
                             [](const RequestView& view) { return view.request().sequence_start; })
      .def_property_readonly("sequence_end",
                             [](const RequestView& view) { return view.request().sequence_end; })
      .def_property_readonly("timeout_us", [](const RequestView& view) { return view.request().timeout_us; })
      .def_property_readonly("priority", [](const RequestView& view) { return view.request().priority; })
      .def_property_readonly("parameters",
                             [](const RequestView& view) { return to_python(view.request().parameters); })
      .def_property_readonly("requested_outputs", &RequestView::requested_outputs)
      .def_property_readonly(
          "cancelled",
          [](const RequestView& view) { return view.request().cancelled.load(std::memory_order_relaxed); })
      .def("inputs", &RequestView::inputs)
      .def("output", &RequestView::output, py::arg("name"), py::arg("datatype"), py::arg("array"))
      .def("parameter", &RequestView::parameter, py::arg("name"), py::arg("value"))
      .def("fail", &RequestView::fail, py::arg("code"), py::arg("message"));
}

}  // namespace naiad
