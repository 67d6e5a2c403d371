#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "memory/buffer.h"
#include "memory/gpu.h"
#include "memory/size_class.h"

namespace naiad {

// How much of a GPU's memory one model may have in blocks of the pool. Any thread.
class DeviceBudget {
 public:
  // `owner` is what messages call it ("model 'm'"). 0: no limit.
  explicit DeviceBudget(std::string owner, std::size_t limit_bytes = 0)
      : owner_(std::move(owner)), limit_bytes_(limit_bytes) {}

  const std::string& owner() const { return owner_; }
  std::size_t limit_bytes() const { return limit_bytes_; }
  std::size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // The most that it ever had.
  std::size_t peak_bytes() const { return peak_bytes_.load(std::memory_order_relaxed); }

  // Counts outputs that are left on the GPU for those who read them there, whoever has allocated them; false,
  // and nothing is counted, where they would be more than `most_bytes`. What waits must leave room for what
  // runs.
  bool try_leave(std::size_t size_bytes, std::size_t most_bytes);
  void taken_up(std::size_t size_bytes) { left_bytes_.fetch_sub(size_bytes, std::memory_order_relaxed); }
  std::size_t left_bytes() const { return left_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class DevicePool;
  bool try_take(std::size_t size_bytes);
  void give_back(std::size_t size_bytes) { used_bytes_.fetch_sub(size_bytes, std::memory_order_relaxed); }

  const std::string owner_;
  const std::size_t limit_bytes_;
  // Counts: pair with nothing.
  std::atomic<std::size_t> used_bytes_{0};
  std::atomic<std::size_t> peak_bytes_{0};
  std::atomic<std::size_t> left_bytes_{0};
};

struct DevicePoolOptions {
  // So much of the GPU's memory at most, in blocks that are out and those that are kept; 0: all there is.
  std::size_t limit_bytes = 0;
  // So much is kept of what nothing has used for a while.
  std::size_t keep_bytes = std::size_t{64} << 20;
};

// All in bytes.
struct DevicePoolUsage {
  std::size_t used_bytes = 0;    // in blocks that are out
  std::size_t cached_bytes = 0;  // in free ones
};

// Memory of one GPU for tensors. Blocks have the sizes of size_class.h and are kept when they come back,
// since to allocate on a GPU takes long and to free waits for all of its work. A block belongs to the stream
// that it was allocated for: work queued there may use it at once, and it may be let go of while such work is
// still under way. Who uses it on other streams lets go of it only when that is done. Another stream gets a
// block that came back once what was queued on its own stream then is done. Where the pool is shared, blocks
// share it. Any thread.
class DevicePool : public std::enable_shared_from_this<DevicePool> {
 public:
  // Where memory for one model and one stream comes from.
  using Stream = std::shared_ptr<GpuStream>;
  using Budget = std::shared_ptr<DeviceBudget>;

  explicit DevicePool(std::shared_ptr<Gpu> gpu, DevicePoolOptions options = {});
  // Every buffer must have come back.
  ~DevicePool();
  DevicePool(const DevicePool&) = delete;
  DevicePool& operator=(const DevicePool&) = delete;

  Gpu& gpu() const { return *gpu_; }

  // A block of at least `size_bytes` on the GPU. kUnavailable, with the numbers, when the budget or the GPU
  // has no room, also after all that is cached was given back; kInternal when the device has failed.
  Status allocate(std::size_t size_bytes, const Stream& stream, const Budget& budget, BufferRef& block);

  // What is free of this stream's belongs to none, and so does what comes back later; to be called when all
  // of its work is done.
  void let_go(const Stream& stream);

  // Gives free blocks back to the device until no more than `keep_bytes` are cached. Those whose stream still
  // works are left alone.
  void trim(std::size_t keep_bytes = 0);
  // The same, down to the `keep_bytes` of the options, of blocks that have been free since before the last
  // call: what batches use again and again stays. Work of the GPU that is under way may be waited for, by the
  // caller alone.
  void trim_stale();

  const DevicePoolOptions& options() const { return options_; }
  DevicePoolUsage usage() const;

 private:
  class Block;
  using Allocation = std::unique_ptr<GpuAllocation>;
  // What of the device's memory is free to be handed out again.
  struct Free {
    Allocation memory;
    Stream stream;                    // null: nobody's
    std::unique_ptr<GpuEvent> ready;  // for other streams; null: not until the stream is let go
    std::uint64_t since = 0;          // how often stale blocks had been looked for when it came back
  };
  using Goes = bool (*)(const Free& free, std::uint64_t num_looks);

  void take_back(Block& block) noexcept;
  Status allocate_new(std::size_t size_bytes, const DeviceBudget& budget, Allocation& memory);
  void give_back(std::size_t keep_bytes, Goes goes);
  // Gives back all that is cached, having waited for the streams that use it.
  void empty_cache();
  Status refusal(std::size_t size_bytes, const DeviceBudget& budget) const;
  // All with mutex_ held.
  bool try_reuse(std::size_t size_class, const Stream& stream, Allocation& memory);
  bool is_ready(const Free& free) const;
  bool is_gone(const Stream& stream) const;
  bool fits(std::size_t size_bytes) const;

  const std::shared_ptr<Gpu> gpu_;
  const DevicePoolOptions options_;
  mutable std::mutex mutex_;  // guards what follows
  std::array<std::vector<Free>, kNumSizeClasses> free_;
  std::vector<std::unique_ptr<GpuEvent>> events_;  // to be used again
  std::vector<std::weak_ptr<GpuStream>> gone_;     // let go, while blocks of theirs may be out
  DevicePoolUsage usage_;
  std::uint64_t num_looks_ = 0;  // for stale blocks
};

// Where an instance of a model is on a GPU: the pool of its memory, what the model may have of that, and the
// stream on which the instance computes.
struct DevicePlace {
  DevicePool& pool;
  DevicePool::Budget budget;
  DevicePool::Stream stream;
};

}  // namespace naiad
