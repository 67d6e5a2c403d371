#include "schedule/response_order.h"

#include <utility>

namespace naiad {

void ResponseOrder::enter(Request& request) {
  auto seat = std::make_shared<Seat>();
  seat->asked = &request;
  seat->next = request.sink;
  request.pass_by(this);
  const std::lock_guard lock(mutex_);
  seats_.push_back(seat);
  open_.emplace(&request, std::move(seat));
}

void ResponseOrder::respond(const Request& request, Response response) noexcept {
  std::unique_lock lock(mutex_);
  open_.at(&request)->responses.push_back(std::move(response));
  send(lock);
}

void ResponseOrder::complete(std::unique_ptr<Request> request, Response response) noexcept {
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Seat> seat = std::move(open_.extract(request.get()).mapped());
  seat->request = std::move(request);
  seat->last = std::move(response);
  send(lock);
}

void ResponseOrder::send(std::unique_lock<std::mutex>& lock) noexcept {
  if (sending_) return;  // who sends takes it along
  sending_ = true;
  while (!seats_.empty()) {
    const std::shared_ptr<Seat> first = seats_.front();
    if (!first->responses.empty()) {
      Response response = std::move(first->responses.front());
      first->responses.pop_front();
      lock.unlock();
      first->next->respond(*first->asked, std::move(response));
      lock.lock();
    } else if (first->request != nullptr) {
      seats_.pop_front();
      lock.unlock();
      first->request->pass_on();
      first->next->complete(std::move(first->request), std::move(first->last));
      lock.lock();
    } else {
      break;
    }
  }
  sending_ = false;
}

}  // namespace naiad
