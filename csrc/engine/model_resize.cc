#include <algorithm>
#include <chrono>
#include <iterator>
#include <set>
#include <utility>

#include "engine/model.h"
#include "memory/device_pool.h"

// How the instances of a model change while it runs.

namespace naiad {
namespace {

constexpr std::chrono::milliseconds kCallAgain{1};

}  // namespace

Model::Seat Model::make_seat(const InstancePlan& plan, std::size_t index, const BackendFactory& factory) {
  InstanceObserver& observer = *this;
  InstanceSpec instance{*spec_,     *pool_,          plan.name,    plan.device,   index,     responses_,
                        plan.needs, shared_.limiter, plan.passive, shared_.calls, plan.place};
  instance.gpus = shared_.gpus;
  instance.budget = budget_on(plan.device);
  return {
      plan, index,
      std::make_unique<ModelInstance>(std::move(instance), spec_, factory, *scheduler_, clock_, observer)};
}

std::shared_ptr<DeviceBudget> Model::budget_on(const Device& device) {
  if (device.kind != DeviceKind::kGpu) return nullptr;
  const std::lock_guard lock(budgets_mutex_);
  std::shared_ptr<DeviceBudget>& budget = budgets_[device.id];
  if (!budget) {
    budget = std::make_shared<DeviceBudget>("model '" + spec_->name + "'", spec_->device.memory_limit_bytes);
  }
  return budget;
}

std::vector<Model::GpuUse> Model::gpu_use() const {
  const std::lock_guard lock(budgets_mutex_);
  std::vector<GpuUse> use;
  for (const auto& [device, budget] : budgets_) {
    if (budget->peak_bytes() == 0) continue;
    use.push_back({device, budget->used_bytes(), budget->peak_bytes(), budget->limit_bytes()});
  }
  return use;
}

bool Model::has_seat(const InstancePlan& plan) const {
  return std::ranges::any_of(seats_, [&](const Seat& seat) { return seat.plan == plan; });
}

std::vector<Model::Seat> Model::load_missing(const BackendFactory& factory,
                                             const std::vector<InstancePlan>& plans) {
  std::set<std::size_t> taken;
  for (const Seat& seat : seats_) {
    if (!seat.plan.passive) taken.insert(seat.index);
  }
  std::vector<Seat> made;
  std::size_t next = 0;
  for (const InstancePlan& plan : plans) {
    if (has_seat(plan)) continue;
    while (!plan.passive && taken.contains(next)) ++next;
    if (next >= scheduler_->room()) {
      retire(std::move(made));
      throw Error(Code::kUnsupported, "model '" + spec_->name + "' is made for the instances that it has");
    }
    made.push_back(make_seat(plan, plan.passive ? 0 : next++, factory));
  }
  try {
    for (const Seat& seat : made) seat.instance->wait_loaded();
  } catch (...) {
    retire(std::move(made));
    throw;
  }
  return made;
}

void Model::retire(std::vector<Seat> gone) {
  for (const Seat& seat : gone) seat.instance->retire();
  for (const Seat& seat : gone) {
    if (seat.plan.passive) continue;
    // One that waits for its turn to form a batch hears nothing before the one whose turn it is lets go of
    // it.
    while (!seat.instance->wait_served(kCallAgain)) {
      for (const std::vector<Seat>* seats : {&seats_, &gone}) {
        for (const Seat& each : *seats) {
          if (!each.plan.passive) scheduler_->call_away(each.index);
        }
      }
    }
  }
}

void Model::resize(const BackendFactory& factory, const std::vector<InstancePlan>& instances) {
  const bool any_active = std::ranges::any_of(instances, [](const auto& plan) { return !plan.passive; });
  if (scheduler_->room() == 0 || pool_ == nullptr || !any_active) {
    throw Error(Code::kUnsupported, "model '" + spec_->name + "' is made for the instances that it has");
  }
  std::vector<Seat> made = load_missing(factory, instances);
  std::vector<Seat> gone;
  {
    const std::unique_lock lock(seats_mutex_);
    const auto stays = [&](const Seat& seat) {
      return std::ranges::find(instances, seat.plan) != instances.end();
    };
    std::vector<Seat> kept;
    for (Seat& seat : seats_) (stays(seat) ? kept : gone).push_back(std::move(seat));
    std::ranges::move(made, std::back_inserter(kept));
    seats_ = std::move(kept);
  }
  retire(std::move(gone));
}

}  // namespace naiad
