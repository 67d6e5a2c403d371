#include "request/response_window.h"

#include <doctest/doctest.h>

#include <memory>

#include "request/request.h"

namespace naiad {
namespace {

// A window of this process, and what a worker makes of the counts that both of them see.
struct Sides {
  std::shared_ptr<ResponseWindow::Count> num_responses = std::make_shared<ResponseWindow::Count>(0);
  std::shared_ptr<ResponseWindow::Count> num_bytes = std::make_shared<ResponseWindow::Count>(0);

  std::unique_ptr<ResponseWindow> worker() const {
    auto window = std::make_unique<ResponseWindow>();
    window->follow(*num_responses, *num_bytes);
    return window;
  }
};

void send(ResponseWindow& window, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) window.sent(8);
}

void take(ResponseWindow& window, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) window.taken(8);
}

}  // namespace

TEST_CASE("a window is full of so many responses, or so many bytes, and has room when they are taken") {
  ResponseWindow window;
  send(window, ResponseWindow::kMaxResponses - 1);
  CHECK_FALSE(window.is_full());
  send(window, 1);
  CHECK(window.is_full());
  take(window, 1);
  CHECK_FALSE(window.is_full());
  window.sent(ResponseWindow::kMaxBytes);
  CHECK(window.is_full());
}

TEST_CASE("a worker sees what is taken, also of responses that were sent before it had the request") {
  const Sides sides;
  ResponseWindow server;
  server.count_into(sides.num_responses, sides.num_bytes);
  {
    const auto worker = sides.worker();
    send(*worker, 5);
    send(server, 5);
    take(server, 3);
    CHECK_FALSE(worker->is_full());
  }
  // The request comes again, two of its responses are not taken yet.
  server.count_into({}, {});
  server.count_into(sides.num_responses, sides.num_bytes);
  const auto worker = sides.worker();
  CHECK_FALSE(worker->is_full());
  take(server, 1);
  send(*worker, 1);
  take(server, 1);
  CHECK_FALSE(worker->is_full());  // more than it has sent itself is taken: there is room
  send(*worker, ResponseWindow::kMaxResponses - 2);
  CHECK_FALSE(worker->is_full());
  send(*worker, 1);
  CHECK(worker->is_full());
}

TEST_CASE("what is taken late does not count for who has the memory next") {
  const Sides sides;
  ResponseWindow old;
  old.count_into(sides.num_responses, sides.num_bytes);
  send(old, 10);
  old.count_into({}, {});

  ResponseWindow next;
  next.count_into(sides.num_responses, sides.num_bytes);
  const auto worker = sides.worker();
  take(old, 10);
  CHECK(sides.num_responses->load() == 0);
  CHECK(sides.num_bytes->load() == 0);
  CHECK_FALSE(worker->is_full());
}

TEST_CASE("who is cancelled does not wait for room") {
  ResponseWindow window;
  send(window, ResponseWindow::kMaxResponses);
  Request request;
  request.cancelled.store(true);
  window.wait(request);
  CHECK(window.is_full());
}

}  // namespace naiad
