#include "execute/device_lane.h"

#include <utility>

#include "base/thread.h"

namespace naiad {

DeviceLane::DeviceLane(DeviceStreams streams, std::size_t num_slots)
    : streams_(std::move(streams)), num_slots_(num_slots) {
  streams_.place.pool.gpu().bind_thread();
  for (std::size_t i = 0; i < num_slots_; ++i) seats_[i] = std::make_unique<Seat>(streams_, i);
}

DeviceLane::~DeviceLane() {
  end();
  DevicePool& pool = streams_.place.pool;
  for (const auto& stream : {streams_.place.stream, streams_.copy_in, streams_.copy_out}) {
    static_cast<void>(stream->drain());  // of a device that has failed nothing runs any more
    pool.let_go(stream);
  }
}

void DeviceLane::run_alone(DeviceBackend& backend, Execution& execution) {
  DeviceSlot& slot = seats_[0]->slot;
  slot.start(backend, execution);
  if (!slot.finish(backend)) failed_.store(true, std::memory_order_relaxed);
}

void DeviceLane::limit(RateLimiter& limiter, const RateNeeds& needs) {
  for (std::size_t i = 0; i < num_slots_; ++i) seats_[i]->member = limiter.join(needs);
}

void DeviceLane::begin(DeviceBackend& backend, const std::string& name, Done done,
                       std::function<void()> on_failed) {
  backend_ = &backend;
  done_ = std::move(done);
  on_failed_ = std::move(on_failed);
  waiter_ = start_thread(name + "-wait", [this] { wait_for_batches(); });
}

void DeviceLane::wait_free() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return under_way_.size() < num_slots_; });
}

void DeviceLane::run(std::unique_ptr<Execution> execution) {
  Seat& seat = *seats_[next_];
  next_ = (next_ + 1) % num_slots_;
  seat.turn.emplace(seat.member.get());
  seat.execution = std::move(execution);
  seat.slot.start(*backend_, *seat.execution);
  {
    const std::lock_guard lock(mutex_);
    under_way_.push_back(&seat);
  }
  changed_.notify_all();
}

void DeviceLane::wait_for_batches() {
  streams_.place.pool.gpu().bind_thread();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ended_ || !under_way_.empty(); });
    if (under_way_.empty()) return;
    Seat& seat = *under_way_.front();
    lock.unlock();
    finish(seat);
    lock.lock();
    under_way_.pop_front();
    changed_.notify_all();
  }
}

void DeviceLane::finish(Seat& seat) {
  const bool failed_now = !seat.slot.finish(*backend_) && !failed_.exchange(true, std::memory_order_relaxed);
  seat.turn.reset();
  done_(*seat.execution);
  seat.execution.reset();
  if (failed_now) on_failed_();
}

void DeviceLane::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (waiter_.joinable()) waiter_.join();
}

}  // namespace naiad
