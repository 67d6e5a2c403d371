#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread.h"
#include "engine/counted_responses.h"
#include "engine/ensemble_scheduler.h"
#include "engine/response_cache.h"
#include "engine/statistics.h"
#include "execute/model_instance.h"
#include "schedule/scheduler.h"

namespace naiad {

class DeviceBudget;
class Gpus;

// One instance to make of a model.
struct InstancePlan {
  std::string name;
  Device device;
  RateNeeds needs{};
  bool passive = false;  // is loaded and gets no requests
  ThreadPlace place{};

  friend bool operator==(const InstancePlan&, const InstancePlan&) = default;
};

// What a model shares with the others of its engine; all may be null.
struct ModelNeighbours {
  ResponseCache* cache = nullptr;
  RateLimiter* limiter = nullptr;
  CallGraph* calls = nullptr;
  Gpus* gpus = nullptr;
};

// A running version of a model: its queue, its instances, its counters. On the way home of requests whose
// answers are kept in the cache.
class Model final : private InstanceObserver, private CompletionSink {
 public:
  // Loads all instances, in parallel; blocks until they stand, throws what the first one that failed threw. A
  // request that an idle instance would take at once, of a model whose batches have lately cost no more than
  // `inline_limit_ns`, is run by the thread that submits it; 0: never.
  Model(ModelSpec spec, const BackendFactory& factory, const std::vector<InstancePlan>& instances,
        TensorPool& pool, const Clock& clock, std::uint64_t inline_limit_ns, ModelNeighbours shared = {});
  // An ensemble: no instances, its steps are requests to `models`.
  Model(ModelSpec spec, EnsemblePlan plan, EnsembleRun::Models models, const Clock& clock,
        ResponseCache* cache = nullptr);
  // Stops without draining.
  ~Model() override;

  const ModelSpec& spec() const { return *spec_; }
  // Of an ensemble; null otherwise.
  const EnsemblePlan* plan() const { return plan_; }

  // Checks the request against the model and queues it, or runs it; on failure the request stays with the
  // caller. Any thread; never blocks but for a short model.
  Status submit(std::unique_ptr<Request>& request);

  // Refuses new requests, runs what waits (`drain`) or fails it, and ends the instances. Blocks until they
  // have ended; idempotent. Any thread but an instance's own.
  void stop(bool drain);

  // From now on it has these instances: those that it has already stay as they are, others are loaded, and
  // then those that are not named end after the batch that they run. No request is refused or lost. Blocks;
  // throws what one that is loaded threw, and then nothing has changed; Error(kUnsupported) for a model whose
  // scheduler was made for its instances. One thread at a time, and not while it stops.
  void resize(const BackendFactory& factory, const std::vector<InstancePlan>& instances);

  // Answers those whose time in the queue is over. Whether others that wait have one: then it is to be called
  // again soon. Any thread.
  bool sweep();

  // Counts who is about to submit to it, having looked it up: see Engine::submit. Any thread.
  void pin() { pins_.fetch_add(1, std::memory_order_seq_cst); }
  void unpin() { pins_.fetch_sub(1, std::memory_order_seq_cst); }
  bool pinned() const { return pins_.load(std::memory_order_seq_cst) != 0; }
  // Blocks until nobody is on the way to it.
  void wait_unpinned() const;

  // Whether all who see this input read it on a GPU: every instance does, and nobody looks at its bytes
  // before. A look that may be old. Any thread; never blocks.
  bool reads_on_gpu(std::string_view input);

  // Any thread.
  std::size_t num_waiting() const { return scheduler_->num_waiting(); }
  // Requests that were admitted and are not done with: a look that may be old. Nothing is in flight once it
  // has said 0 after publish() took the model away.
  std::size_t num_in_flight() const { return static_cast<std::size_t>(lent_.use_count() - 1); }
  std::optional<std::uint64_t> found_delay_ns() const { return scheduler_->found_delay_ns(); }
  // Whether any of its instances would run a batch now. Any thread.
  bool is_healthy() override;
  StatisticsValues statistics() const { return statistics_->values(); }
  const Statistics& measured() const { return *statistics_; }
  // What an instance has done so far.
  struct InstanceUse {
    std::string name;
    std::uint64_t busy_ns = 0;  // while it ran batches
    int process_id = 0;         // of its worker; 0: there is none now
  };
  std::vector<InstanceUse> instance_use();
  // What it has of the pool of a GPU's memory. Of GPUs on which it ever had any.
  struct GpuUse {
    int device = 0;
    std::size_t used_bytes = 0;
    std::size_t peak_bytes = 0;
    std::size_t limit_bytes = 0;  // 0: there is none
  };
  std::vector<GpuUse> gpu_use() const;

 private:
  struct Seat {
    InstancePlan plan;
    std::size_t index;
    std::unique_ptr<ModelInstance> instance;
  };

  Seat make_seat(const InstancePlan& plan, std::size_t index, const BackendFactory& factory);
  // Loads those plans that `seats` has none for. Throws what the first one that failed threw.
  std::vector<Seat> load_missing(const BackendFactory& factory, const std::vector<InstancePlan>& plans);
  // Ends instances while others serve on.
  void retire(std::vector<Seat> gone);
  bool has_seat(const InstancePlan& plan) const;
  // What its instances on a GPU may have of its memory together; null on the CPU.
  std::shared_ptr<DeviceBudget> budget_on(const Device& device);

  void ran(const Execution& execution) override;
  void dropped(const DroppedRequest& dropped) override;
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;
  // For an admitted request: true when the cache answers it, or looks for its answer and will have it queued
  // if there is none. Otherwise this model is on its way home.
  bool try_answer_from_cache(std::unique_ptr<Request>& request);
  void answer_from_cache(std::unique_ptr<Request> request, Response response, std::uint64_t looked_since_ns);
  void missed_in_cache(Request& request, std::uint64_t looked_since_ns);
  // The end of a look-up that took its time.
  void looked_up(std::unique_ptr<Request> request, std::optional<Response> response,
                 std::uint64_t looked_since_ns);
  // queue(), and what is said and counted where that refuses.
  Status queue_or_refuse(std::unique_ptr<Request>& request);
  bool try_run_here(std::unique_ptr<Request>& request);
  Status queue(std::unique_ptr<Request>& request);

  const std::shared_ptr<const ModelSpec> spec_;
  const std::shared_ptr<const ModelSpec> lent_;  // the same, shared by its requests alone
  const Clock& clock_;
  TensorPool* const pool_;  // null: an ensemble
  const std::shared_ptr<Statistics> statistics_;
  const std::unique_ptr<Scheduler> scheduler_;
  const EnsemblePlan* const plan_ = nullptr;  // the scheduler's
  const std::uint64_t inline_limit_ns_;
  ResponseCache* const cache_;  // null: answers are not kept
  const std::string mark_;      // of this load of the model, among all; with a store, of what it is
  // Pairs with the engine's table: raised under its lock, read behind it. By each look-up too.
  std::atomic<std::size_t> pins_{0};
  const ModelNeighbours shared_{};
  const std::shared_ptr<CountedResponses> responses_;
  mutable std::mutex budgets_mutex_;
  std::map<int, std::shared_ptr<DeviceBudget>> budgets_;  // by GPU
  std::shared_mutex seats_mutex_;  // shared by who runs a request here, exclusive while they change or end
  std::vector<Seat> seats_;        // last: their threads use all of the above
};

}  // namespace naiad
