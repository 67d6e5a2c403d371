#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "request/request.h"

namespace naiad {

// Lets answers go home in the order in which their requests entered, whatever order they come in: an answer
// waits here for those before it. Of requests with one response each. Any thread.
class ResponseOrder final : public CompletionSink {
 public:
  // The request is next in the order; its answer comes by here.
  void enter(Request& request);

  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  struct Seat {
    std::unique_ptr<Request> request;  // null: not yet answered
    Response response;
  };

  std::mutex mutex_;
  std::deque<std::shared_ptr<Seat>> seats_;  // in order
  std::unordered_map<const Request*, std::shared_ptr<Seat>> open_;
  bool sending_ = false;  // one thread at a time lets answers go
};

}  // namespace naiad
