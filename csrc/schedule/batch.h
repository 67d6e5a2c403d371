#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// A request that left the queue without being run, and why.
struct DroppedRequest {
  std::unique_ptr<Request> request;
  Status status;
};

// What a batch that has run took.
struct BatchTimes {
  std::uint32_t num_rows = 0;
  std::uint64_t queue_ns = 0;  // of the request that waited longest
  std::uint64_t compute_ns = 0;
  std::uint64_t end_ns = 0;  // when it had run
};

// What an idle instance takes from the queue in one go: requests that run together, and those that were
// found dead on the way. `requests` may be empty when `dropped` is not.
struct Batch {
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<DroppedRequest> dropped;
};

}  // namespace naiad
