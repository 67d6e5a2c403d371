#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "execute/backend.h"
#include "execute/batch_cost.h"
#include "execute/device_lane.h"
#include "execute/execution.h"
#include "schedule/scheduler.h"

namespace naiad {

// Who keeps the counts of what instances do. Called by instance threads before the requests go home, so that
// a client which has its answer finds itself counted.
class InstanceObserver {
 public:
  virtual ~InstanceObserver() = default;
  // A batch was run; its responses are decided.
  virtual void ran(const Execution& execution) = 0;
  virtual void dropped(const DroppedRequest& dropped) = 0;
  // Whether an instance would run a batch now: one that would not leaves them to it.
  virtual bool is_healthy() = 0;
};

// One instance of a model: a thread that makes a backend, lets it run one batch after the other, and destroys
// it. One that works on a GPU has two batches under way (DeviceLane), and when the device fails it is made
// anew. All collaborators outlive it.
class ModelInstance {
 public:
  // Starts the thread, which loads the backend at once and warms it up. `model` is spec.model. Any thread.
  ModelInstance(InstanceSpec spec, std::shared_ptr<const ModelSpec> model, BackendFactory factory,
                Scheduler& scheduler, const Clock& clock, InstanceObserver& observer);
  // Blocks until the thread has ended; the scheduler must have been closed.
  ~ModelInstance() { end_.set_value(); }

  // Blocks until the backend is loaded; throws what its factory threw. Once, one thread.
  void wait_loaded() { loaded_.get_future().get(); }

  // Has it take no more batches, once the scheduler has called it away. Any thread.
  void retire() { retired_.store(true, std::memory_order_seq_cst); }
  // Blocks until it takes no more batches, for so long at most; whether it does not. Any thread.
  bool wait_served(std::chrono::milliseconds limit) const {
    return served_.wait_for(limit) == std::future_status::ready;
  }

  // Runs an admitted request on the calling thread, as a batch of its own, and sends it home: when the
  // backend allows that, is idle, and has lately needed no more than `limit_ns` for a batch of that size.
  // Otherwise leaves the request. Any thread; never blocks but for the model itself.
  bool try_run_here(std::unique_ptr<Request>& request, std::uint64_t limit_ns);

  // Whether a batch would be run now; a passive one runs none. Any thread; never blocks for a batch.
  bool is_healthy() const;

  // Whether its backend reads inputs on a GPU. Any thread.
  bool reads_on_gpu() const { return reads_on_gpu_.load(std::memory_order_relaxed); }

  bool is_passive() const { return spec_.passive; }
  const std::string& name() const { return spec_.name; }
  // Of its backend. Any thread.
  int process_id() const;
  // How long it has run batches in all. Any thread.
  std::uint64_t busy_ns() const { return busy_ns_.load(std::memory_order_relaxed); }

 private:
  // With what its backend has to tell.
  InstanceSpec watched(InstanceSpec spec);
  void load_and_serve(const BackendFactory& factory, const std::shared_ptr<const ModelSpec>& model);
  // Throws what the factory throws, or a warm-up that fails.
  void load(const BackendFactory& factory, const std::shared_ptr<const ModelSpec>& model);
  void unload();
  void serve();
  // The requests of the next batch, none where it was called away; empty: there will be no more.
  std::optional<std::vector<std::unique_ptr<Request>>> take();
  // While this one would only fail its batch, and another one would run it.
  void leave_to_others();
  void show(const Backend* backend);
  // With busy_ held.
  void run(std::vector<std::unique_ptr<Request>> requests);
  // Tells all who count, before the answers go home; how long the batch has taken.
  std::uint64_t count(Execution& execution);

  // What follows is in model_instance_device.cc.
  const DevicePlace& open_lane();
  void begin_on_device(DeviceBackend& backend);
  // Until the device fails; false when it is to end.
  bool serve_on_device();
  // Makes all anew, as often as that takes; false when it is to end.
  bool load_again(const BackendFactory& factory, const std::shared_ptr<const ModelSpec>& model);
  // Waits before the next try; meanwhile fails what no other instance takes. False when it is to end.
  bool stay_down(std::chrono::milliseconds pause, const std::string& why);

  const InstanceSpec spec_;
  Scheduler& scheduler_;
  const Clock& clock_;
  InstanceObserver& observer_;
  std::promise<void> loaded_;
  std::promise<void> end_of_service_;
  const std::shared_future<void> served_ = end_of_service_.get_future();
  std::atomic<bool> retired_{false};             // pairs with the scheduler's call
  std::promise<void> end_;                       // what a passive one waits for
  std::unique_ptr<RateLimiter::Member> member_;  // null: it needs nothing
  BatchCost cost_;
  // Who runs a batch: a thread compares it with itself alone, so it pairs with nothing.
  std::atomic<std::thread::id> runner_{};
  // Written with busy_ held, or by the thread that waits for a GPU; pairs with nothing.
  std::atomic<std::uint64_t> busy_ns_{0};
  std::uint64_t busy_until_ns_ = 0;         // of the same
  std::mutex busy_;                         // held by the thread that runs a batch
  std::unique_ptr<DeviceLane> lane_;        // of a backend on a GPU; outlives it. Instance thread
  std::unique_ptr<Backend> backend_;        // guarded by busy_; the instance's thread makes and destroys it
  std::atomic<bool> reads_on_gpu_{false};   // a hint: what comes to another one is fetched
  std::atomic<bool> device_failed_{false};  // pairs with nothing: the lane is what is looked at
  mutable std::mutex shown_mutex_;
  const Backend* shown_ = nullptr;  // backend_ while it is served; guarded by shown_mutex_
  std::jthread thread_;
};

}  // namespace naiad
