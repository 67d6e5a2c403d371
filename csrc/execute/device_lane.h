#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "execute/device_slot.h"
#include "execute/rate_limiter.h"

namespace naiad {

// An instance's way over its GPU: two slots, so that while a batch is computed the next one's inputs come in
// and the last one's outputs go out; and a thread that waits for the batches in the order in which they were
// queued. It outlives the backend, whose stream it has.
class DeviceLane {
 public:
  // Counts a batch whose answers are decided, and sends it home. The thread that waits.
  using Done = std::function<void(Execution&)>;

  // Throws Error when the GPU cannot be used. Instance thread, as are all but Done.
  DeviceLane(DeviceStreams streams, std::size_t num_slots);
  // Waits for what is under way.
  ~DeviceLane();
  DeviceLane(const DeviceLane&) = delete;
  DeviceLane& operator=(const DeviceLane&) = delete;

  const DevicePlace& place() const { return streams_.place; }

  // Runs one batch to its end and leaves it to the caller. Before begin().
  void run_alone(DeviceBackend& backend, Execution& execution);

  // From now on batches may be run; `on_failed` is called, by the thread that waits, when the device has
  // failed.
  void begin(DeviceBackend& backend, const std::string& name, Done done, std::function<void()> on_failed);
  // Blocks until a slot is free.
  void wait_free();
  // Queues a batch in the free slot, when the limiter lets it. Does not wait for its end.
  void run(std::unique_ptr<Execution> execution);
  // Each slot asks the limiter on its own. Before begin().
  void limit(RateLimiter& limiter, const RateNeeds& needs);
  // Blocks until nothing is under way, and no more can be. Idempotent.
  void end();

  // Any thread.
  bool failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  struct Seat {
    Seat(const DeviceStreams& streams, std::size_t number) : slot(streams, number) {}

    DeviceSlot slot;
    std::unique_ptr<Execution> execution{};  // while it is taken
    std::unique_ptr<RateLimiter::Member> member{};
    std::optional<RateLimiter::Turn> turn{};
  };
  static constexpr std::size_t kMaxSlots = 2;

  void wait_for_batches();
  void finish(Seat& seat);

  const DeviceStreams streams_;
  const std::size_t num_slots_;
  std::array<std::unique_ptr<Seat>, kMaxSlots> seats_;
  std::size_t next_ = 0;  // the seat of the next batch: they take turns
  DeviceBackend* backend_ = nullptr;
  Done done_;
  std::function<void()> on_failed_;
  std::atomic<bool> failed_{false};  // a hint: what has failed fails again

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Seat*> under_way_;
  bool ended_ = false;
  std::jthread waiter_;
};

}  // namespace naiad
