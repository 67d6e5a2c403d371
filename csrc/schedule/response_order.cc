#include "schedule/response_order.h"

#include <utility>

namespace naiad {

void ResponseOrder::enter(Request& request) {
  request.pass_by(this);
  const std::lock_guard lock(mutex_);
  seats_.push_back(std::make_shared<Seat>());
  open_.emplace(&request, seats_.back());
}

void ResponseOrder::respond(const Request& request, Response response) noexcept {
  request.beyond.back()->respond(request, std::move(response));
}

void ResponseOrder::complete(std::unique_ptr<Request> request, Response response) noexcept {
  request->pass_on();
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Seat> seat = std::move(open_.extract(request.get()).mapped());
  seat->request = std::move(request);
  seat->response = std::move(response);
  if (sending_) return;  // who sends takes it along
  sending_ = true;
  while (!seats_.empty() && seats_.front()->request != nullptr) {
    const std::shared_ptr<Seat> next = std::move(seats_.front());
    seats_.pop_front();
    lock.unlock();
    CompletionSink* const sink = next->request->sink;
    sink->complete(std::move(next->request), std::move(next->response));
    lock.lock();
  }
  sending_ = false;
}

}  // namespace naiad
