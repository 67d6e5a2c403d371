#include "execute/call_graph.h"

#include <algorithm>
#include <set>

#include "execute/execution.h"

namespace naiad {

class CallGraph::Ticket final : public CallTicket {
 public:
  Ticket(CallGraph& graph, std::uint64_t number) : CallTicket(number), graph_(graph) {}
  ~Ticket() override { graph_.end(number()); }

 private:
  CallGraph& graph_;
};

std::uint64_t CallGraph::add_instance(const Target& model) {
  const std::lock_guard lock(mutex_);
  instances_.emplace(++last_number_, Instance{model, {}});
  return last_number_;
}

void CallGraph::remove_instance(std::uint64_t instance) {
  const std::lock_guard lock(mutex_);
  instances_.erase(instance);
}

Status CallGraph::begin(std::uint64_t caller, std::vector<Target> targets,
                        std::shared_ptr<const CallTicket>& ticket) {
  const std::string name = targets.empty() ? std::string() : targets.front().first;
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = ++last_number_;
    calls_.emplace(number, Call{caller, std::move(targets), {}});
    const auto found = instances_.find(caller);
    if (found != instances_.end()) {
      found->second.calls.push_back(number);
      if (is_stuck(caller)) {
        found->second.calls.pop_back();
        calls_.erase(number);
        return {Code::kUnavailable, "the call to model '" + name +
                                        "' would wait for ever: every instance that could answer it waits "
                                        "for a call of its own"};
      }
    }
  }
  ticket = std::make_shared<const Ticket>(*this, number);
  return {};
}

void CallGraph::end(std::uint64_t call) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  const auto caller = instances_.find(found->second.caller);
  if (caller != instances_.end()) std::erase(caller->second.calls, call);
  calls_.erase(found);
}

void CallGraph::running(std::uint64_t instance, std::uint64_t call) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  if (found != calls_.end()) found->second.running.push_back(instance);
}

void CallGraph::left(std::uint64_t instance, std::uint64_t call) {
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  Call& left = found->second;
  const auto at = std::ranges::find(left.running, instance);
  if (at != left.running.end()) left.running.erase(at);
  const auto runner = instances_.find(instance);
  if (runner != instances_.end()) std::erase(left.targets, runner->second.model);
}

bool CallGraph::is_stuck(std::uint64_t instance) const {
  // The greatest set of which each one waits for others of it: from all that wait, those go that have a way
  // out, until none has.
  std::set<std::uint64_t> stuck;
  for (const auto& [number, each] : instances_) {
    if (!each.calls.empty()) stuck.insert(number);
  }
  const auto model_is_stuck = [&](const Target& model) {
    bool any = false;
    for (const auto& [number, each] : instances_) {
      if (each.model != model) continue;
      if (!stuck.contains(number)) return false;
      any = true;
    }
    return any;
  };
  const auto call_is_stuck = [&](std::uint64_t number) {
    const Call& call = calls_.at(number);
    const auto is = [&](std::uint64_t runner) { return stuck.contains(runner); };
    if (!call.running.empty()) return std::ranges::any_of(call.running, is);
    return std::ranges::any_of(call.targets, model_is_stuck);
  };
  for (bool changed = true; changed;) {
    changed = std::erase_if(stuck, [&](std::uint64_t number) {
                return std::ranges::none_of(instances_.at(number).calls, call_is_stuck);
              }) != 0;
  }
  return stuck.contains(instance);
}

CalledBatch::CalledBatch(CallGraph* graph, std::uint64_t instance, const Execution& execution)
    : graph_(graph), instance_(instance) {
  for (std::size_t k = 0; graph_ != nullptr && k < execution.num_requests(); ++k) {
    if (execution.request(k).call) calls_.push_back(execution.request(k).call);
  }
  for (const auto& call : calls_) graph_->running(instance_, call->number());
}

CalledBatch::~CalledBatch() {
  for (const auto& call : calls_) graph_->left(instance_, call->number());
}

}  // namespace naiad
