#include "engine/ensemble_plan.h"

#include <set>

namespace naiad {

EnsembleOrder::EnsembleOrder(const EnsemblePlan& plan)
    : consumers(plan.steps.size()),
      num_producers(plan.steps.size()),
      readers(plan.tensors.size()),
      on_host(plan.tensors.size()) {
  for (const std::size_t tensor : plan.inputs) on_host[tensor] = true;
  for (const std::size_t tensor : plan.outputs) on_host[tensor] = true;
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const EnsemblePlan::Step& step = plan.steps[s];
    for (const EnsemblePlan::Link& input : step.inputs) readers[input.tensor].push_back({s, input.name});
    if (step.when) on_host[step.when->tensor] = true;
  }
  std::vector<std::optional<std::size_t>> maker(plan.tensors.size());
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    for (const EnsemblePlan::Link& output : plan.steps[s].outputs) maker[output.tensor] = s;
  }
  for (std::size_t s = 0; s < plan.steps.size(); ++s) {
    const EnsemblePlan::Step& step = plan.steps[s];
    std::set<std::size_t> producers;
    for (const EnsemblePlan::Link& input : step.inputs) {
      if (maker[input.tensor]) producers.insert(*maker[input.tensor]);
    }
    if (step.when && maker[step.when->tensor]) producers.insert(*maker[step.when->tensor]);
    num_producers[s] = producers.size();
    for (const std::size_t producer : producers) consumers[producer].push_back(s);
  }
  for (const auto& direct : consumers) {
    std::set<std::size_t> all;
    std::vector<std::size_t> next = direct;
    while (!next.empty()) {
      const std::size_t step = next.back();
      next.pop_back();
      if (all.insert(step).second) next.insert(next.end(), consumers[step].begin(), consumers[step].end());
    }
    behind.emplace_back(all.begin(), all.end());
  }
}

}  // namespace naiad
