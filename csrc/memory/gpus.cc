#include "memory/gpus.h"

namespace naiad {

DevicePool& Gpus::pool(int device) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<DevicePool>& pool = pools_[device];
  if (!pool) {
    std::shared_ptr<Gpu> gpu;
    if (const Status status = open_(device, gpu); !status.ok()) throw Error(status);
    pool = std::make_unique<DevicePool>(std::move(gpu), options_);
    any_.store(true, std::memory_order_relaxed);
  }
  return *pool;
}

void Gpus::trim() {
  const std::lock_guard lock(mutex_);
  for (const auto& [device, pool] : pools_) {
    if (pool) pool->trim();
  }
}

}  // namespace naiad
