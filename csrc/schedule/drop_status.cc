#include "schedule/drop_status.h"

#include <algorithm>

#include "base/checked.h"

namespace naiad {

Status cancelled_in_queue() {
  return {Code::kCancelled, "Request was cancelled before it ran"};
}

Status deadline_passed_in_queue() {
  return {Code::kDeadlineExceeded, "Deadline Exceeded"};
}

Status timed_out_in_queue() {
  return {Code::kUnavailable, "Request timeout expired"};
}

Status unloaded_in_queue(const ModelSpec& model) {
  return {Code::kUnavailable, "model '" + model.name + "' was unloaded before the request ran"};
}

std::uint64_t deadline_of(const Request& request) {
  if (request.timeout_us == 0) return request.deadline_ns;
  const auto timeout_ns = checked_mul<std::uint64_t>(request.timeout_us, 1000);
  const auto due_ns = timeout_ns ? checked_add(request.timestamps.queued_ns, *timeout_ns) : std::nullopt;
  if (!due_ns) return request.deadline_ns;
  return request.deadline_ns == 0 ? *due_ns : std::min(request.deadline_ns, *due_ns);
}

}  // namespace naiad
