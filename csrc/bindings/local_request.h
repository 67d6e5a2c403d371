#pragma once

#include <memory>

#include "bindings/core.h"

namespace naiad {

// naiad._core.LocalRequest: a request that a model makes for another model, to be submitted once. With the
// GIL.
class LocalRequest {
 public:
  LocalRequest(std::shared_ptr<Core> core, std::unique_ptr<Request> request)
      : core_(std::move(core)), request_(std::move(request)) {}

  // Throws Error(kInvalidArgument) when it has been taken.
  std::unique_ptr<Request> take();
  // With what the request holds of Python's.
  const std::shared_ptr<Core>& core() const { return core_; }

 private:
  std::shared_ptr<Core> core_;
  std::unique_ptr<Request> request_;
};

// Who made the request can take one response only: a decoupled model refuses it, in Triton's words.
void refuse_many(Request& request);

}  // namespace naiad
