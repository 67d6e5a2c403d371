#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "bindings/batch_view.h"
#include "bindings/core.h"
#include "bindings/errors.h"
#include "bindings/request_view.h"
#include "execute/backend.h"
#include "execute/call_graph.h"
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

// Runs a PythonInstance or a BatchInstance of _core.pyi: one call, and one crossing of the language border,
// per batch.
class PythonBackend final : public Backend {
 public:
  PythonBackend(const py::function& make, const InstanceSpec& spec)
      : name_(spec.name),
        calls_(spec.calls),
        number_(calls_ != nullptr ? calls_->add_instance({spec.model.name, spec.model.version}) : 0),
        on_unhealthy_(spec.on_unhealthy) {
    const PythonThread::Entered entered(thread_);
    try {
      instance_ = make(spec.name, spec.device.kind == DeviceKind::kGpu ? "GPU" : "CPU", spec.device.id);
      takes_batches_ = py::hasattr(instance_, "execute_batch");
      execute_ = instance_.attr(takes_batches_ ? "execute_batch" : "execute");
      can_break_ = py::hasattr(instance_, "is_broken");
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
    if (calls_ != nullptr) calls_->remove_instance(number_);
    // A sender that the model still has would look for what goes with the model.
    const py::gil_scoped_release release;
    senders_->abandon();
  }

  void execute(Execution& execution) override {
    const PythonThread::Entered entered(thread_);
    const auto link = std::make_shared<ExecutionLink>(ExecutionLink{&execution, senders_, number_});
    const CalledBatch called(calls_, number_, execution);
    execution.inputs_ready();
    try {
      if (takes_batches_) {
        execute_(BatchView(link));
      } else {
        execute_(views(link));
      }
      link->execution = nullptr;
    } catch (const py::error_already_set& error) {
      link->execution = nullptr;
      if (can_break_) look_after_health();
      throw Error(status_of(error));
    }
    if (!takes_batches_) execution.outputs_ready();
  }

  bool is_healthy() const override { return is_healthy_.load(std::memory_order_relaxed); }

 private:
  void look_after_health() {
    if (!instance_.attr("is_broken").cast<bool>() || !is_healthy_.exchange(false)) return;
    if (on_unhealthy_) on_unhealthy_();
  }

  static py::list views(const std::shared_ptr<ExecutionLink>& link) {
    const std::size_t count = link->execution->num_requests();
    py::list requests(count);
    for (std::size_t k = 0; k < count; ++k) requests[k] = py::cast(RequestView(link, k));
    return requests;
  }

  PythonThread thread_;
  std::string name_;
  py::object instance_;
  py::object execute_;
  bool takes_batches_ = false;
  bool can_break_ = false;
  std::atomic<bool> is_healthy_{true};  // relaxed: a request more or less finds out
  CallGraph* const calls_;
  const std::uint64_t number_;  // among the instances that may call models
  const std::function<void()> on_unhealthy_;
  const std::shared_ptr<OpenSenders> senders_ = std::make_shared<OpenSenders>();
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

}  // namespace naiad
