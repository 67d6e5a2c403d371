#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "memory/device_pool.h"
#include "memory/gpu.h"

namespace naiad {

// The GPUs that this process works with: each is opened when it is first asked for, with the one pool of its
// memory. It outlives all who were given a pool. Any thread.
class Gpus {
 public:
  using Open = std::function<Status(int device, std::shared_ptr<Gpu>& gpu)>;

  explicit Gpus(Open open = &open_gpu, DevicePoolOptions options = {})
      : open_(std::move(open)), options_(options) {}

  // Throws Error when it cannot be opened, as open_gpu() says why.
  DevicePool& pool(int device);

  // Whether any was ever opened: without one no tensor lies there.
  bool any() const { return any_.load(std::memory_order_relaxed); }

  // Gives memory that no model uses back to the devices.
  void trim();

 private:
  const Open open_;
  const DevicePoolOptions options_;
  std::atomic<bool> any_{false};  // pairs with nothing
  std::mutex mutex_;
  std::map<int, std::unique_ptr<DevicePool>> pools_;  // guarded by mutex_
};

}  // namespace naiad
