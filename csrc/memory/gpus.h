#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "memory/device_pool.h"
#include "memory/gpu.h"

namespace naiad {

// The GPUs that this process works with: each is opened when it is first asked for, with the one pool of its
// memory. A thread of its own gives back what the pools have too much of. It outlives all who were given a
// pool, but for blocks of one. Any thread.
class Gpus {
 public:
  using Open = std::function<Status(int device, std::shared_ptr<Gpu>& gpu)>;

  // `of_device`: of those GPUs, in place of `options`.
  explicit Gpus(Open open = &open_gpu, DevicePoolOptions options = {},
                std::map<int, DevicePoolOptions> of_device = {})
      : open_(std::move(open)), options_(options), of_device_(std::move(of_device)) {}
  ~Gpus();
  Gpus(const Gpus&) = delete;
  Gpus& operator=(const Gpus&) = delete;

  // Throws Error when it cannot be opened, as open_gpu() says why.
  DevicePool& pool(int device);
  // Of all GPUs that are open.
  std::vector<DevicePool*> pools();

  // Whether any was ever opened: without one no tensor lies there.
  bool any() const { return any_.load(std::memory_order_relaxed); }

  // Gives memory that no model uses back to the devices; on those of `in_use`, where models run, what their
  // options keep stays.
  void trim(const std::set<int>& in_use = {});

 private:
  void run();

  const Open open_;
  const DevicePoolOptions options_;
  const std::map<int, DevicePoolOptions> of_device_;
  std::atomic<bool> any_{false};                      // pairs with nothing
  std::mutex mutex_;                                  // guards what follows
  std::map<int, std::shared_ptr<DevicePool>> pools_;  // none goes
  bool is_ended_ = false;
  std::condition_variable ended_;
  std::jthread thread_;  // last: it uses all of the above. None before there is a pool
};

}  // namespace naiad
