#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "execute/backend.h"
#include "execute/execution.h"
#include "schedule/dynamic_scheduler.h"

namespace naiad {

// Who keeps the counts of what instances do. Called by instance threads before the requests go home, so that
// a client which has its answer finds itself counted.
class InstanceObserver {
 public:
  virtual ~InstanceObserver() = default;
  // A batch was run; its responses are decided.
  virtual void ran(const Execution& execution) = 0;
  virtual void dropped(const DroppedRequest& dropped) = 0;
};

// One instance of a model: a thread that makes a backend, lets it run one batch after the other, and destroys
// it. All collaborators outlive it.
class ModelInstance {
 public:
  // Starts the thread, which loads the backend at once. Any thread.
  ModelInstance(InstanceSpec spec, BackendFactory factory, DynamicScheduler& scheduler, const Clock& clock,
                InstanceObserver& observer);
  // Blocks until the thread has ended; the scheduler must have been closed.
  ~ModelInstance() = default;

  // Blocks until the backend is loaded; throws what its factory threw. Once, one thread.
  void wait_loaded() { loaded_.get_future().get(); }

 private:
  void run(const BackendFactory& factory);
  void serve(Backend& backend);

  const InstanceSpec spec_;
  DynamicScheduler& scheduler_;
  const Clock& clock_;
  InstanceObserver& observer_;
  std::promise<void> loaded_;
  std::jthread thread_;
};

}  // namespace naiad
