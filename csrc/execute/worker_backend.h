#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "execute/backend.h"
#include "execute/call_graph.h"
#include "execute/worker_host.h"
#include "execute/worker_life.h"
#include "queue/event_fd.h"

namespace naiad {

// Runs an instance in a worker process, and starts another one when that has ended: at once when it has
// served, after a growing pause when it has not.
class WorkerBackend final : public Backend {
 public:
  // Blocks until the model is loaded; throws what its load failed with.
  WorkerBackend(const InstanceSpec& spec, std::shared_ptr<WorkerHost> host, WorkerLimits limits);
  // Lets the model finish and ends the process. Blocks, no longer than the limit.
  ~WorkerBackend() override;

  void execute(Execution& execution) override;
  bool is_healthy() const override { return is_running_.load(std::memory_order_relaxed); }
  int process_id() const override { return process_id_.load(std::memory_order_relaxed); }

 private:
  enum class State : unsigned char { kStarting, kRunning, kDown };

  // The monitor's thread.
  void watch();
  // One process from start to end; whether it has served.
  bool live();
  // `life`: of kRunning.
  void become(State state, Status reason = {}, std::shared_ptr<WorkerLife> life = nullptr);
  bool is_stopping() const;

  const ModelSpec& model_;
  TensorPool& pool_;
  const std::string name_;
  const Device device_;
  const std::shared_ptr<WorkerHost> host_;
  const WorkerLimits limits_;
  CallGraph* const calls_;
  const std::function<void()> on_unhealthy_;
  const std::uint64_t number_;
  const SteadyClock clock_;
  EventFd wake_;

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  State state_ = State::kStarting;
  std::atomic<bool> is_running_{false};  // state_, for who looks often
  std::atomic<int> process_id_{0};       // for who shows it; pairs with nothing
  Status reason_;                        // of kDown
  std::shared_ptr<WorkerLife> life_;
  bool stopping_ = false;

  std::jthread monitor_;  // last: it uses all of the above
};

}  // namespace naiad
