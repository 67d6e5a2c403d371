#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/model.h"
#include "engine/response_cache.h"
#include "engine/summons.h"
#include "engine/sweeper.h"
#include "engine/tracer.h"
#include "engine/version_routes.h"
#include "execute/call_graph.h"
#include "memory/gpus.h"
#include "memory/tensor_pool.h"

namespace naiad {

// The core's root: owns the pool, knows which running model a request's name means. The Python side decides
// which versions are published under which name.
class Engine {
 public:
  // What a batch may cost to be run by the thread that submits it: about the price of the two changes of
  // threads that this saves.
  static constexpr std::uint64_t kInlineLimitNs = 15'000;

  // `inline_limit_ns`: see Model.
  // `cache_bytes`: of answers that are kept in memory for models which want that; 0: none are. `rate_limits`:
  // what there is of the resources that instances need; none: they need nothing. `store`: where answers are
  // kept too; may be null. It must not be closed before the engine, or after its models are gone. `gpus`:
  // that models may use; none is opened before one does.
  explicit Engine(std::unique_ptr<TensorPool> pool, std::uint64_t inline_limit_ns = kInlineLimitNs,
                  std::size_t cache_bytes = 0, std::optional<RateLimiter::Limits> rate_limits = {},
                  std::shared_ptr<ResponseStore> store = nullptr,
                  std::unique_ptr<Gpus> gpus = std::make_unique<Gpus>());
  // Stops every model that is still running.
  ~Engine();

  TensorPool& pool() { return *pool_; }
  Gpus& gpus() { return *gpus_; }
  const Clock& clock() const { return clock_; }

  // Loads a model version; it serves once it is published. Blocks; throws Error when it cannot be loaded.
  std::shared_ptr<Model> start(ModelSpec spec, const BackendFactory& factory,
                               const std::vector<InstancePlan>& instances);

  // The same for an ensemble, whose steps are submitted to this engine. Never blocks.
  std::shared_ptr<Model> start_ensemble(ModelSpec spec, EnsemblePlan plan);

  // Requests for `name` go to these versions from now on; none: known, but not available. Waits until no
  // request is on its way to a version that is no longer published. `routes`: which version a request gets,
  // changed in the same moment. Throws Error(kInvalidArgument) when they name one that is not among `models`.
  // Any thread but one that submits.
  void publish(const std::string& name, std::vector<std::shared_ptr<Model>> models,
               std::optional<VersionRoutes> routes = {});
  // So many models bear `name` from now on, and it means none of them: who asks for it is told so. Waits as
  // publish() does.
  void make_ambiguous(const std::string& name, std::size_t num_bearers);
  // `name` is unknown from now on. Waits as publish() does.
  void forget(const std::string& name);
  // Refuses further requests of the model, ends it, and lets go of it. Blocks. Any thread but an instance's.
  void stop(Model& model, bool drain);
  // Gives memory that nothing needs any more back to the system: of the pool, of GPUs (on those where models
  // run, but for what their pools keep), and of the C library's heap. Takes milliseconds. Any thread.
  void trim();
  // Stops everything, draining. Blocks; idempotent.
  void close();

  // Which requests are traced: whoever brings one asks it.
  Tracer& tracer() { return tracer_; }

  // Null where answers are not kept.
  const ResponseCache* cache() const { return cache_.get(); }

  // Finds the model that the request names, checks the request and queues it; parks it where that model is to
  // be loaded first (see Summons). On failure the request stays with the caller. Sets timestamps.received_ns.
  // Any thread; never blocks.
  Status submit(std::unique_ptr<Request>& request);

  // For who needs to know the model before its request can be made: has a model that is not there loaded,
  // if it may be summoned. The request comes home when it is there, or with the reason why not; on failure it
  // stays with the caller. Any thread; never blocks.
  Status await_model(std::unique_ptr<Request>& request);
  // Whether no version of this model is there, but await_model() would have it loaded. Any thread.
  bool can_summon(std::string_view name) const;
  Summons& summons() { return summons_; }

  // Whether every version of the model that is served reads this input on a GPU: Model::reads_on_gpu. Any
  // thread; never blocks.
  bool reads_on_gpu(std::string_view name, std::string_view input) const;

  // Marks a request that the instance `caller` is about to wait for, before it is submitted; 0: somebody for
  // whom nobody waits. kUnavailable when its answer could never come: see CallGraph. Any thread.
  Status begin_call(std::uint64_t caller, Request& request);

  // Where requests go for models that are not here: of a worker, to its server. Set before the first request.
  using Elsewhere = std::function<Status(std::unique_ptr<Request>& request)>;
  void set_elsewhere(Elsewhere submit) { elsewhere_ = std::move(submit); }

  // The model behind a name and a version ("" = the highest published); fills `model` or says why not, in
  // Triton's words. Any thread.
  Status find(std::string_view name, std::string_view version, std::shared_ptr<Model>& model) const;

 private:
  using Versions = std::map<std::int64_t, std::shared_ptr<Model>>;
  struct Published {
    Versions versions;
    std::unique_ptr<const VersionRouter> router;  // null: the highest version gets what names none
    std::size_t num_bearers = 1;                  // more: it means none of them, and has no versions
  };
  struct Found {
    std::shared_ptr<Model> model;
    const Published* published = nullptr;  // for who holds mutex_
  };

  // Waits until nobody who looked them up before is about to submit to them.
  static void wait_unpinned(const Versions& gone);
  // submit(), of a request that was received before.
  Status submit_received(std::unique_ptr<Request>& request);
  // Copies what lies on a GPU and is not read there by the model, as the request's maker thought that it
  // would be, to the host.
  Status fetch_inputs(Model& model, Request& request);
  // For one whose model is not there, and why.
  Status summon(std::unique_ptr<Request>& request, const Status& missing);
  // The models whose instances a request runs on, by way of ensembles too.
  void add_targets(std::string_view name, std::string_view version,
                   std::vector<CallGraph::Target>& targets) const;
  // find() for who holds mutex_. `request`: which is to be submitted; null for who only looks.
  Status look_up(std::string_view name, std::string_view version, const Request* request, Found& found) const;
  // The model that gets a copy of the request, pinned, and the copy; null: none does. With mutex_ held.
  static std::shared_ptr<Model> pin_shadow(const Published& published, const Request& request,
                                           std::unique_ptr<Request>& copy);
  void submit_shadow(Model& model, std::unique_ptr<Request> copy);

  const std::shared_ptr<TensorPool> pool_;
  const std::unique_ptr<Gpus> gpus_;
  const std::uint64_t inline_limit_ns_;
  const std::unique_ptr<ResponseCache> cache_;  // null: no answer is kept
  const std::unique_ptr<RateLimiter> limiter_;  // null: nothing is limited
  CallGraph calls_;
  Elsewhere elsewhere_;
  const SteadyClock clock_;
  Tracer tracer_{clock_};  // outlives the models, whose requests may be traced
  mutable std::shared_mutex mutex_;
  std::map<std::string, Published, std::less<>> published_;
  DiscardingSink discarding_;  // outlives the models
  std::vector<std::shared_ptr<Model>> running_;
  Summons summons_;  // where nothing may be summoned it is never asked but for models that are not there
  Sweeper sweeper_;  // last: its thread ends before the models do
};

}  // namespace naiad
