#include "engine/engine.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "execute/fetch.h"
#include "request/trace.h"

namespace naiad {
namespace {

Status not_found(std::string_view name, const std::string& what) {
  return {Code::kNotFound, "Request for unknown model: '" + std::string(name) + "' " + what};
}

// Whether it could be a label: no label looks like a number.
bool is_label(std::string_view text) {
  return !text.empty() && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
}

bool all_published(const VersionRoutes& routes,
                   const std::map<std::int64_t, std::shared_ptr<Model>>& versions) {
  const auto is_there = [&](std::int64_t version) { return versions.contains(version); };
  return std::ranges::all_of(routes.labels, [&](const auto& label) { return is_there(label.second); }) &&
         std::ranges::all_of(routes.shares, [&](const auto& share) { return is_there(share.version); }) &&
         (!routes.shadow || is_there(*routes.shadow));
}

Status parse_version(std::string_view text, std::int64_t& version) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size() && version > 0) return {};
  return {Code::kInvalidArgument, "failed to get model version from specified version string '" +
                                      std::string(text) + "', version should be an integral value > 0"};
}

}  // namespace

Engine::Engine(std::unique_ptr<TensorPool> pool, std::uint64_t inline_limit_ns, std::size_t cache_bytes,
               std::optional<RateLimiter::Limits> rate_limits, std::shared_ptr<ResponseStore> store,
               std::unique_ptr<Gpus> gpus)
    : pool_(std::move(pool)),
      gpus_(std::move(gpus)),
      inline_limit_ns_(inline_limit_ns),
      cache_(cache_bytes == 0 && store == nullptr
                 ? nullptr
                 : std::make_unique<ResponseCache>(cache_bytes, std::move(store))),
      limiter_(rate_limits ? std::make_unique<RateLimiter>(std::move(*rate_limits)) : nullptr),
      summons_([this](std::unique_ptr<Request>& request) { return submit_received(request); }, clock_),
      sweeper_([this] { return summons_.sweep(); }) {}

Engine::~Engine() {
  close();
}

std::shared_ptr<Model> Engine::start(ModelSpec spec, const BackendFactory& factory,
                                     const std::vector<InstancePlan>& instances) {
  auto model = std::make_shared<Model>(std::move(spec), factory, instances, *pool_, clock_, inline_limit_ns_,
                                       ModelNeighbours{cache_.get(), limiter_.get(), &calls_, gpus_.get()});
  const std::unique_lock lock(mutex_);
  running_.push_back(model);
  sweeper_.add(model);
  return model;
}

std::shared_ptr<Model> Engine::start_ensemble(ModelSpec spec, EnsemblePlan plan) {
  auto submit = [this](std::unique_ptr<Request>& request) { return this->submit(request); };
  auto reads_on_gpu = [this](std::string_view name, std::string_view input) {
    return this->reads_on_gpu(name, input);
  };
  auto model = std::make_shared<Model>(std::move(spec), std::move(plan),
                                       EnsembleRun::Models{std::move(submit), std::move(reads_on_gpu)},
                                       clock_, cache_.get());
  const std::unique_lock lock(mutex_);
  running_.push_back(model);
  sweeper_.add(model);
  return model;
}

void Engine::publish(const std::string& name, std::vector<std::shared_ptr<Model>> models,
                     std::optional<VersionRoutes> routes) {
  const bool is_there = !models.empty();
  Versions versions;
  for (auto& model : models) {
    const std::int64_t version = model->spec().version;
    versions.emplace(version, std::move(model));
  }
  std::unique_ptr<const VersionRouter> router;
  if (routes) {
    if (!all_published(*routes, versions)) {
      throw Error(Code::kInvalidArgument,
                  "the routes of model '" + name + "' name a version that is not served");
    }
    router = std::make_unique<VersionRouter>(std::move(*routes));
  }
  {
    const std::unique_lock lock(mutex_);
    Published& published = published_[name];
    Versions& now = published.versions;
    now.swap(versions);
    published.router.swap(router);
    published.num_bearers = 1;
    std::erase_if(versions, [&](const auto& old) {
      return std::ranges::any_of(now, [&](const auto& each) { return each.second == old.second; });
    });
  }
  // At once: requests of a sequence may come behind those that are parked.
  if (is_there) summons_.arrived(name);
  wait_unpinned(versions);
}

void Engine::make_ambiguous(const std::string& name, std::size_t num_bearers) {
  publish(name, {});
  const std::unique_lock lock(mutex_);
  published_[name].num_bearers = num_bearers;
}

void Engine::forget(const std::string& name) {
  Versions gone;
  {
    const std::unique_lock lock(mutex_);
    const auto entry = published_.find(name);
    if (entry == published_.end()) return;
    gone.swap(entry->second.versions);
    published_.erase(entry);
  }
  wait_unpinned(gone);
}

void Engine::wait_unpinned(const Versions& gone) {
  for (const auto& [version, model] : gone) model->wait_unpinned();
}

void Engine::stop(Model& model, bool drain) {
  model.stop(drain);
  const std::unique_lock lock(mutex_);
  std::erase_if(running_, [&](const std::shared_ptr<Model>& running) { return running.get() == &model; });
}

void Engine::trim() {
  pool_->trim();
  std::set<int> in_use;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& model : running_) {
      for (const Model::GpuUse& use : model->gpu_use()) in_use.insert(use.device);
    }
  }
  gpus_->trim(in_use);
  malloc_trim(0);
}

void Engine::close() {
  summons_.close();
  std::vector<std::shared_ptr<Model>> running;
  {
    const std::unique_lock lock(mutex_);
    published_.clear();
    running.swap(running_);
  }
  // What uses others was started behind them.
  for (auto model = running.rbegin(); model != running.rend(); ++model) (*model)->stop(true);
}

Status Engine::submit(std::unique_ptr<Request>& request) {
  request->timestamps.received_ns = clock_.now_ns();
  if (elsewhere_) return elsewhere_(request);
  return submit_received(request);
}

Status Engine::submit_received(std::unique_ptr<Request>& request) {
  Found found;
  std::shared_ptr<Model> shadow;
  std::unique_ptr<Request> copy;
  {
    std::shared_lock lock(mutex_);
    Status status = look_up(request->model_name, request->model_version, request.get(), found);
    if (!status.ok()) {
      const bool is_there = found.published != nullptr && !found.published->versions.empty();
      lock.unlock();
      return is_there ? status : summon(request, status);
    }
    // When publish() has returned, no request is still on its way to a model that is no longer published, so
    // that the model can be drained and stopped without refusing one. Not the lock itself: a step of an
    // ensemble is submitted within the submission of another request.
    found.model->pin();
    if (found.published->router != nullptr && request->model_version.empty()) {
      shadow = pin_shadow(*found.published, *request, copy);
    }
  }
  Model* const model = found.model.get();
  const bool timed =
      request->deadline_ns != 0 || request->timeout_us != 0 || model->spec().batching.times_out();
  Status status = fetch_inputs(*model, *request);
  if (status.ok()) status = model->submit(request);
  model->unpin();
  if (timed && status.ok()) sweeper_.nudge();
  if (shadow != nullptr) {
    if (status.ok()) submit_shadow(*shadow, std::move(copy));
    shadow->unpin();
  }
  return status;
}

Status Engine::fetch_inputs(Model& model, Request& request) {
  for (GivenInput& given : request.given_inputs) {
    if (!given.tensor.is_on_gpu()) continue;
    const bool is_noted = request.trace && request.trace->notes_tensors();
    if (!is_noted && model.reads_on_gpu(given.name)) continue;
    const Status status = fetch(given.tensor, *pool_, gpus_.get());
    if (!status.ok()) return {status.code(), unfetched(given.name, model.spec().name, status)};
  }
  return {};
}

bool Engine::reads_on_gpu(std::string_view name, std::string_view input) const {
  if (!gpus_->any()) return false;
  const std::shared_lock lock(mutex_);
  const auto entry = published_.find(name);
  if (entry == published_.end()) return false;
  const Versions& versions = entry->second.versions;
  return !versions.empty() && std::ranges::all_of(versions, [&](const auto& version) {
    return version.second->reads_on_gpu(input);
  });
}

Status Engine::summon(std::unique_ptr<Request>& request, const Status& missing) {
  Status status = summons_.park(request);
  if (status.ok()) sweeper_.nudge();
  return status.code() == Code::kNotFound ? missing : status;
}

Status Engine::await_model(std::unique_ptr<Request>& request) {
  request->awaits_model_only = true;
  request->timestamps.received_ns = clock_.now_ns();
  const Status status = summons_.park(request);
  if (status.ok()) sweeper_.nudge();
  return status;
}

bool Engine::can_summon(std::string_view name) const {
  {
    const std::shared_lock lock(mutex_);
    const auto entry = published_.find(name);
    if (entry != published_.end() && !entry->second.versions.empty()) return false;
  }
  return summons_.allows(name);
}

std::shared_ptr<Model> Engine::pin_shadow(const Published& published, const Request& request,
                                          std::unique_ptr<Request>& copy) {
  const auto version = published.router->shadow_of(request);
  if (!version) return nullptr;
  const auto found = published.versions.find(*version);
  if (found == published.versions.end()) return nullptr;
  copy = copy_for_shadow(request);
  found->second->pin();
  return found->second;
}

void Engine::submit_shadow(Model& model, std::unique_ptr<Request> copy) {
  copy->sink = &discarding_;
  // A shadow that is behind drops its copies: its statistics say how many.
  if (fetch_inputs(model, *copy).ok() && model.submit(copy).ok()) sweeper_.nudge();
}

Status Engine::begin_call(std::uint64_t caller, Request& request) {
  request.caller_waits = caller != 0;
  if (request.trace_number != 0) request.trace = tracer_.spawn_of(request.trace_number);
  std::vector<CallGraph::Target> targets;
  add_targets(request.model_name, request.model_version, targets);
  return calls_.begin(caller, std::move(targets), request.call);
}

void Engine::add_targets(std::string_view name, std::string_view version,
                         std::vector<CallGraph::Target>& targets) const {
  std::shared_ptr<Model> model;
  if (!find(name, version, model).ok()) return;
  if (model->plan() == nullptr) {
    targets.emplace_back(model->spec().name, model->spec().version);
    return;
  }
  for (const EnsemblePlan::Step& step : model->plan()->steps) {
    if (!step.when) add_targets(step.model, step.version, targets);
  }
}

Status Engine::find(std::string_view name, std::string_view version, std::shared_ptr<Model>& model) const {
  const std::shared_lock lock(mutex_);
  Found found;
  Status status = look_up(name, version, nullptr, found);
  if (status.ok()) model = std::move(found.model);
  return status;
}

Status Engine::look_up(std::string_view name, std::string_view version, const Request* request,
                       Found& found) const {
  const auto entry = published_.find(name);
  if (entry == published_.end()) return not_found(name, "is not found");
  const Versions& versions = entry->second.versions;
  const VersionRouter* const router = entry->second.router.get();
  found.published = &entry->second;
  if (entry->second.num_bearers > 1) {
    return {Code::kInvalidArgument,
            "There are " + std::to_string(entry->second.num_bearers) + " identifiers of model '" +
                std::string(name) +
                "' in global map, model namespace must be provided to resolve ambiguity."};
  }
  if (versions.empty()) return not_found(name, "has no available versions");
  std::optional<std::int64_t> drawn;
  if (version.empty()) {
    if (router != nullptr) drawn = request == nullptr ? router->largest() : router->draw(*request);
    if (!drawn) {
      found.model = versions.rbegin()->second;
      return {};
    }
  } else if (is_label(version) && router != nullptr && router->has_labels()) {
    drawn = router->labelled(version);
    if (!drawn) return not_found(name, "has no version with the label '" + std::string(version) + "'");
  }
  std::int64_t number = drawn.value_or(0);
  if (!drawn) {
    if (Status status = parse_version(version, number); !status.ok()) return status;
  }
  const auto place = versions.find(number);
  if (place == versions.end()) {
    return not_found(name, "version " + std::to_string(number) + " is not found");
  }
  found.model = place->second;
  return {};
}

}  // namespace naiad
