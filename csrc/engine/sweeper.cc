#include "engine/sweeper.h"

#include <chrono>
#include <utility>

#include "base/thread.h"

namespace naiad {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{5};
// Looks without anything to wait for before it sleeps: a client that sets a deadline on each of its calls
// does not wake the thread for each.
constexpr int kIdleLooks = 100;

}  // namespace

Sweeper::Sweeper(std::function<bool()> more)
    : more_(std::move(more)), thread_(start_thread("naiad-sweep", [this] { run(); })) {}

Sweeper::~Sweeper() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  nudged_.notify_one();
}

void Sweeper::add(const std::shared_ptr<Model>& model) {
  const std::lock_guard lock(mutex_);
  std::erase_if(models_, [](const auto& each) { return each.expired(); });
  models_.push_back(model);
}

void Sweeper::nudge() {
  if (awake_.load(std::memory_order_relaxed) || awake_.exchange(true, std::memory_order_seq_cst)) return;
  const std::lock_guard lock(mutex_);
  nudged_.notify_one();
}

void Sweeper::run() {
  std::unique_lock lock(mutex_);
  while (!ended_) {
    nudged_.wait(lock, [&] { return ended_ || awake_.load(std::memory_order_seq_cst); });
    int idle_looks = 0;
    while (!ended_ && idle_looks < kIdleLooks) {
      nudged_.wait_for(lock, kBetweenLooks, [&] { return ended_; });
      lock.unlock();
      if (++idle_looks == kIdleLooks) awake_.store(false, std::memory_order_seq_cst);
      if (sweep()) {
        idle_looks = 0;
        awake_.store(true, std::memory_order_seq_cst);
      }
      lock.lock();
    }
  }
}

bool Sweeper::sweep() {
  std::vector<std::shared_ptr<Model>> models;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& each : models_) {
      if (auto model = each.lock()) models.push_back(std::move(model));
    }
  }
  bool again = more_ && more_();
  for (const auto& model : models) again = model->sweep() || again;
  return again;
}

}  // namespace naiad
