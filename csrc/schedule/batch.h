#pragma once

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

// What an idle instance takes from the queue in one go: requests that run together, and those that were
// found dead on the way. `requests` may be empty when `dropped` is not.
struct Batch {
  std::vector<std::unique_ptr<Request>> requests;
  std::vector<DroppedRequest> dropped;
};

}  // namespace naiad
