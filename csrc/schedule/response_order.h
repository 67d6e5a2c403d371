#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "request/request.h"

namespace naiad {

// Lets answers go home in the order in which their requests entered, whatever order they come in: an answer
// waits here for those before it. Of a request with many responses each one waits; as they count as not taken
// while they do, the model is held back. Any thread.
class ResponseOrder final : public CompletionSink {
 public:
  // The request is next in the order; its answer comes by here.
  void enter(Request& request);

  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  struct Seat {
    const Request* asked = nullptr;
    CompletionSink* next = nullptr;    // where it goes from here
    std::deque<Response> responses{};  // before the last one
    std::unique_ptr<Request> request;  // null: its last one has not come
    Response last;
  };

  // Lets go what is next in the order, in so far as it is there. One thread at a time: the others leave it to
  // that one.
  void send(std::unique_lock<std::mutex>& lock) noexcept;

  std::mutex mutex_;
  std::deque<std::shared_ptr<Seat>> seats_;  // in order
  std::unordered_map<const Request*, std::shared_ptr<Seat>> open_;
  bool sending_ = false;
};

}  // namespace naiad
