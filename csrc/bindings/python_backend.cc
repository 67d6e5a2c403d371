#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "bindings/batch_view.h"
#include "bindings/core.h"
#include "bindings/device_batch_view.h"
#include "bindings/errors.h"
#include "bindings/python_instance.h"
#include "bindings/request_view.h"
#include "execute/backend.h"
#include "execute/call_graph.h"
#include "execute/device_batch.h"
#include "execute/execution.h"
#include "execute/gpu_place.h"

namespace naiad {
namespace {

// Runs a PythonInstance or a BatchInstance of _core.pyi: one call, and one crossing of the language border,
// per batch.
class PythonBackend final : public Backend {
 public:
  PythonBackend(std::unique_ptr<PythonInstance> instance, const InstanceSpec& spec)
      : instance_(std::move(instance)), on_unhealthy_(spec.on_unhealthy) {
    const PythonThread::Entered entered(instance_->thread());
    try {
      takes_batches_ = instance_->has("execute_batch");
      execute_ = instance_->object().attr(takes_batches_ ? "execute_batch" : "execute");
      can_break_ = instance_->has("is_broken");
      // The rows of a batch are gathered on the host.
      takes_gpu_inputs_ = !takes_batches_ && instance_->says("takes_gpu_inputs");
    } catch (const py::error_already_set& error) {
      const Status status = status_of(error);
      throw Error(status);
    }
  }

  ~PythonBackend() override {
    const PythonThread::Entered entered(instance_->thread());
    execute_ = py::object();
  }

  void execute(Execution& execution) override {
    const PythonThread::Entered entered(instance_->thread());
    const auto link =
        std::make_shared<ExecutionLink>(ExecutionLink{&execution, instance_->senders(), instance_->number()});
    const CalledBatch called(instance_->calls(), instance_->number(), execution);
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

  bool takes_gpu_inputs() const override { return takes_gpu_inputs_; }
  bool is_healthy() const override { return is_healthy_.load(std::memory_order_relaxed); }

 private:
  void look_after_health() {
    if (!instance_->object().attr("is_broken").cast<bool>() || !is_healthy_.exchange(false)) return;
    if (on_unhealthy_) on_unhealthy_();
  }

  static py::list views(const std::shared_ptr<ExecutionLink>& link) {
    const std::size_t count = link->execution->num_requests();
    py::list requests(count);
    for (std::size_t k = 0; k < count; ++k) requests[k] = py::cast(RequestView(link, k));
    return requests;
  }

  const std::unique_ptr<PythonInstance> instance_;  // first: `execute_` is its
  py::object execute_;
  bool takes_batches_ = false;
  bool can_break_ = false;
  bool takes_gpu_inputs_ = false;
  std::atomic<bool> is_healthy_{true};  // relaxed: a request more or less finds out
  const std::function<void()> on_unhealthy_;
};

// Runs a DeviceInstance of _core.pyi, which queues its work on the stream of the instance.
class PythonDeviceBackend final : public DeviceBackend {
 public:
  explicit PythonDeviceBackend(std::unique_ptr<PythonInstance> instance)
      : instance_(std::move(instance)), can_be_captured_(can_be_captured(*instance_)) {
    const PythonThread::Entered entered(instance_->thread());
    enqueue_ = instance_->object().attr("enqueue");
  }

  ~PythonDeviceBackend() override {
    const PythonThread::Entered entered(instance_->thread());
    enqueue_ = py::object();
  }

  bool can_be_captured() const override { return can_be_captured_; }
  void enqueue(DeviceBatch& batch) override {
    const PythonThread::Entered entered(instance_->thread());
    const auto link = std::make_shared<DeviceLink>(DeviceLink{&batch});
    try {
      enqueue_(DeviceBatchView(link));
      link->batch = nullptr;
    } catch (const py::error_already_set& error) {
      link->batch = nullptr;
      throw Error(status_of(error));
    }
  }

 private:
  static bool can_be_captured(PythonInstance& instance) {
    const PythonThread::Entered entered(instance.thread());
    return instance.says("can_be_captured");
  }

  const std::unique_ptr<PythonInstance> instance_;  // first: `enqueue_` is its
  const bool can_be_captured_;
  py::object enqueue_;
};

bool queues_work(PythonInstance& instance) {
  const PythonThread::Entered entered(instance.thread());
  return instance.has("enqueue");
}

}  // namespace

BackendFactory make_python_factory(py::function make, bool streams) {
  // The factory is copied and dropped by threads that do not hold the GIL.
  const std::shared_ptr<py::function> shared(std::make_unique<py::function>(std::move(make)).release(),
                                             [](py::function* function) {
                                               const py::gil_scoped_acquire gil;
                                               const std::unique_ptr<py::function> dropped(function);
                                             });
  return [shared, streams](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    const DevicePlace* const place =
        streams ? gpu_place(spec, "its framework copies by itself, and each batch waits for that") : nullptr;
    auto instance = std::make_unique<PythonInstance>(*shared, spec, streams, place);
    if (place != nullptr && queues_work(*instance)) {
      return std::make_unique<PythonDeviceBackend>(std::move(instance));
    }
    return std::make_unique<PythonBackend>(std::move(instance), spec);
  };
}

}  // namespace naiad
