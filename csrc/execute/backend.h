#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/thread.h"
#include "execute/rate_limiter.h"
#include "memory/device.h"
#include "memory/tensor_pool.h"
#include "request/model_spec.h"

namespace naiad {

class CallGraph;
class DeviceBackend;
class DeviceBatch;
class DeviceBudget;
class Execution;
class Gpus;
class ResponseObserver;
struct DevicePlace;

// What an instance of a model is made from.
struct InstanceSpec {
  const ModelSpec& model;
  TensorPool& pool;
  std::string name;  // "<group>_<i>"
  Device device;
  std::size_t index = 0;                          // among the instances of the model
  std::shared_ptr<ResponseObserver> responses{};  // counts those of requests that are kept; may be null
  RateNeeds needs{};                              // what it needs of the limiter while it runs a batch
  RateLimiter* limiter = nullptr;                 // null: nothing is limited
  bool passive = false;                           // is loaded and runs nothing
  CallGraph* calls = nullptr;                     // of models that call others; null: none do
  ThreadPlace place{};                            // where its thread is, and what that starts
  std::function<void()> on_unhealthy{};           // called when is_healthy() has become false; any thread
  Gpus* gpus = nullptr;                           // null: none may be used
  std::shared_ptr<DeviceBudget> budget{};         // of the model, on `device`; null: one of its own
  // Its place on the GPU of `device`, for a factory to ask for; opened then, so that what has its own way to
  // a GPU needs none. Throws Error where it cannot be had. Set by the instance.
  std::function<const DevicePlace&()> on_gpu{};
};

// The contract of everything that can run a model. The thread of the instance makes, uses and destroys it;
// no two calls of one Backend overlap.
class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  // Runs one batch: reads its inputs from `execution` and hands it every output, or an answer or a failure
  // for single requests. An Error thrown fails those that have no answer yet; the instance lives on.
  // Instance thread.
  virtual void execute(Execution& execution) = 0;

  // Whether execute() may be called by other threads too, still one at a time: then a short model runs on the
  // thread that brings the request, which saves two changes of threads. Any thread.
  virtual bool runs_on_any_thread() const { return false; }

  // Whether it could run a batch now. Any thread.
  virtual bool is_healthy() const { return true; }

  // The process that runs it, 0: this one, or none now. Any thread.
  virtual int process_id() const { return 0; }

  // Whether execute() takes inputs that lie on a GPU as they are, all work on them done; else they are copied
  // to the host before. Any thread.
  virtual bool takes_gpu_inputs() const { return false; }

  // Itself, where it queues its work on a GPU instead of doing it: its instance calls that contract then.
  virtual DeviceBackend* on_device() { return nullptr; }
};

// The contract of what runs a model by queueing work on the stream of its instance (execute/device_batch.h).
// The instance copies the inputs of the next batch to the GPU and the outputs of the last one back while this
// one is computed, and waits for events alone.
class DeviceBackend : public Backend {
 public:
  // Queues the work of a batch and returns without waiting for it. An Error thrown fails those requests that
  // have no answer yet; a DeviceError the instance with them. Instance thread.
  virtual void enqueue(DeviceBatch& batch) = 0;

  // Whether enqueue() does the same work, with the same outputs, for all batches whose inputs have the same
  // shapes, in memory of input() and allocate() alone. Then a model that wants CUDA graphs has its work
  // captured, for which enqueue() is called twice for one batch, and replayed without a call. Any thread.
  virtual bool can_be_captured() const { return false; }

  // All work of the batch is done; its answers go home next. May be called while another batch is in
  // enqueue(). An Error thrown fails the batch. The thread that waits for batches.
  virtual void finish(DeviceBatch& /*batch*/) {}

  // Its instance calls enqueue() instead. Throws Error(kInternal).
  void execute(Execution& execution) final;
  DeviceBackend* on_device() final { return this; }
};

// Makes the backend of one instance; throws Error when the model cannot be loaded. Instance thread.
using BackendFactory = std::function<std::unique_ptr<Backend>(const InstanceSpec&)>;

}  // namespace naiad
