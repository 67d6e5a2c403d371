#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "base/log.h"
#include "execute/model_instance.h"
#include "memory/gpus.h"

// How an instance runs a backend that queues its work on a GPU.

namespace naiad {
namespace {

// As those of worker processes.
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{30000};
constexpr std::chrono::milliseconds kLookAgain{5};

}  // namespace

const DevicePlace& ModelInstance::open_lane() {
  if (lane_) return lane_->place();
  const std::string where = "unable to load model '" + spec_.model.name + "': ";
  if (spec_.gpus == nullptr || spec_.device.kind != DeviceKind::kGpu) {
    throw Error(Code::kUnsupported, where + "its instance '" + spec_.name + "' has no GPU");
  }
  const ModelSpec& model = spec_.model;
  std::shared_ptr<DeviceBudget> budget = spec_.budget;
  if (!budget) {
    budget = std::make_shared<DeviceBudget>("model '" + model.name + "'", model.device.memory_limit_bytes);
  }
  try {
    // The next step of a sequence is formed of what the last one has left: one batch at a time.
    const std::size_t num_slots = model.sequence ? 1 : 2;
    DevicePool& pool = spec_.gpus->pool(spec_.device.id);
    lane_ = std::make_unique<DeviceLane>(DeviceStreams::make(pool, std::move(budget), model.device.priority),
                                         num_slots);
  } catch (const Error& error) {
    throw Error(error.code(), where + error.what());
  }
  return lane_->place();
}

void ModelInstance::begin_on_device(DeviceBackend& backend) {
  if (spec_.limiter != nullptr && !spec_.needs.empty()) lane_->limit(*spec_.limiter, spec_.needs);
  const auto done = [this](Execution& execution) {
    count(execution);
    execution.complete();
  };
  const auto on_failed = [this] {
    device_failed_.store(true, std::memory_order_relaxed);
    scheduler_.call_away(spec_.index);
  };
  lane_->begin(backend, spec_.name, done, on_failed);
}

bool ModelInstance::serve_on_device() {
  while (!lane_->failed()) {
    leave_to_others();
    if (retired_.load(std::memory_order_seq_cst)) return false;
    // Only then: what comes while both slots are taken may join the batch.
    lane_->wait_free();
    if (lane_->failed()) break;
    auto requests = take();
    if (!requests) return false;
    if (requests->empty()) continue;
    scheduler_.begun();
    lane_->run(
        std::make_unique<Execution>(spec_.model, std::move(*requests), spec_.pool, clock_, spec_.responses));
  }
  return true;
}

bool ModelInstance::load_again(const BackendFactory& factory, const std::shared_ptr<const ModelSpec>& model) {
  const std::string who = "model instance '" + spec_.name + "': ";
  log_error(who + "its GPU has failed: it is made anew");
  for (auto pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    unload();
    std::string why;
    try {
      load(factory, model);
      device_failed_.store(false, std::memory_order_relaxed);
      show(backend_.get());
      return true;
    } catch (const std::exception& error) {
      why = error.what();
    }
    log_error(who + "could not be made anew: " + why);
    unload();
    if (!stay_down(pause, why)) return false;
  }
}

bool ModelInstance::stay_down(std::chrono::milliseconds pause, const std::string& why) {
  const auto until = std::chrono::steady_clock::now() + pause;
  const std::jthread alarm([this, until](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any ended;
    std::unique_lock lock(mutex);
    ended.wait_until(lock, stop, until, [] { return false; });
    scheduler_.call_away(spec_.index);
  });
  while (std::chrono::steady_clock::now() < until) {
    if (retired_.load(std::memory_order_seq_cst)) return false;
    if (observer_.is_healthy()) {
      std::this_thread::sleep_for(kLookAgain);
      continue;
    }
    auto requests = take();
    if (!requests) return false;
    if (requests->empty()) continue;
    scheduler_.begun();
    Execution execution(spec_.model, std::move(*requests), spec_.pool, clock_, spec_.responses);
    execution.fail_all(
        {Code::kUnavailable,
         "model '" + spec_.model.name + "': its instance is made anew, after its GPU has failed: " + why});
    count(execution);
    execution.complete();
  }
  return true;
}

}  // namespace naiad
