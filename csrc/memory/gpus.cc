#include "memory/gpus.h"

#include <chrono>

#include "base/thread.h"

namespace naiad {
namespace {

// A block that lies free for so long, and up to twice as long, is not needed by what runs.
constexpr std::chrono::seconds kBetweenLooks{5};

}  // namespace

Gpus::~Gpus() {
  {
    const std::lock_guard lock(mutex_);
    is_ended_ = true;
  }
  ended_.notify_one();
}

DevicePool& Gpus::pool(int device) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<DevicePool>& pool = pools_[device];
  if (!pool) {
    std::shared_ptr<Gpu> gpu;
    if (const Status status = open_(device, gpu); !status.ok()) throw Error(status);
    const auto own = of_device_.find(device);
    pool = std::make_shared<DevicePool>(std::move(gpu), own == of_device_.end() ? options_ : own->second);
    if (!thread_.joinable()) thread_ = start_thread("naiad-gpu-trim", [this] { run(); });
    any_.store(true, std::memory_order_relaxed);
  }
  return *pool;
}

std::vector<DevicePool*> Gpus::pools() {
  const std::lock_guard lock(mutex_);
  std::vector<DevicePool*> pools;
  for (const auto& [device, pool] : pools_) {
    if (pool) pools.push_back(pool.get());
  }
  return pools;
}

void Gpus::trim(const std::set<int>& in_use) {
  for (DevicePool* const pool : pools()) {
    pool->trim(in_use.contains(pool->gpu().device()) ? pool->options().keep_bytes : 0);
  }
}

void Gpus::run() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kBetweenLooks, [this] { return is_ended_; })) {
    lock.unlock();
    for (DevicePool* const pool : pools()) pool->trim_stale();
    lock.lock();
  }
}

}  // namespace naiad
