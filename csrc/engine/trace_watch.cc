#include "engine/trace_watch.h"

#include <chrono>
#include <utility>

namespace naiad {

void TraceWatch::put(TraceRecord record) {
  const std::lock_guard lock(mutex_);
  record_ = std::move(record);
  told_.notify_all();
}

std::optional<TraceRecord> TraceWatch::take(std::uint64_t timeout_ns) {
  std::unique_lock lock(mutex_);
  told_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [&] { return record_.has_value(); });
  return std::exchange(record_, std::nullopt);
}

}  // namespace naiad
