#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "queue/parker.h"
#include "request/request.h"
#include "request/response_window.h"

namespace naiad {

// A thread that waits for a known number of requests; the tag of each is its place.
class GatheringSink final : public CompletionSink {
 public:
  struct Home {
    std::unique_ptr<Request> request;
    Response response;
  };

  explicit GatheringSink(std::size_t count) : homes_(count), left_to_come_(count) {}

  // Models that respond many times are not asked this way.
  void respond(const Request& request, Response response) noexcept override {
    request.window->taken(response.size_bytes());
  }

  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    Home& home = homes_[request->tag];
    home.request = std::move(request);
    home.response = std::move(response);
    arrive();
  }

  // Request `place` was refused: nothing of it will come.
  void refuse(std::size_t place, Status status) {
    homes_[place].response.status = std::move(status);
    arrive();
  }

  // Blocks until all have come, or until `deadline_ns` of the steady clock: then false.
  bool wait(std::optional<std::uint64_t> deadline_ns = std::nullopt) {
    while (left_to_come_.load(std::memory_order_acquire) != 0) {
      const Parker::Ticket ticket = parker_.prepare();
      if (left_to_come_.load(std::memory_order_acquire) == 0) {
        parker_.cancel(ticket);
        break;
      }
      if (!parker_.wait(ticket, deadline_ns) && left_to_come_.load(std::memory_order_acquire) != 0) {
        return false;
      }
    }
    while (!last_has_left_.load(std::memory_order_acquire)) LinuxParking::relax();
    return true;
  }

  std::vector<Home>& homes() { return homes_; }

 private:
  void arrive() {
    // Acq_rel: the last to arrive has seen all other homes filled, and wait() sees them through it.
    if (left_to_come_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    parker_.notify_one();
    last_has_left_.store(true, std::memory_order_release);  // pairs with wait(): this is not used any more
  }

  std::vector<Home> homes_;
  Parker parker_{Parker::patient_spins()};
  std::atomic<std::size_t> left_to_come_;
  std::atomic<bool> last_has_left_{false};
};

}  // namespace naiad
