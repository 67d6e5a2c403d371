#include "execute/response_sender.h"

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "fakes/heap_pool.h"
#include "fakes/requests.h"
#include "request/response_window.h"

using namespace naiad;
using namespace naiad::test;

namespace {

struct Recorder final : ResponseObserver {
  void responded(const Given& given) override { all.push_back(given); }
  std::vector<Given> all;
};

struct Scene {
  explicit Scene(bool decoupled) {
    ModelSpec made = row_model(8);
    made.decoupled = decoupled;
    spec = std::make_shared<const ModelSpec>(std::move(made));
  }
  std::unique_ptr<ResponseSender> sender() {
    auto request = std::make_unique<Request>();
    request->spec = spec;
    request->wanted = {true};
    request->sink = &sink;
    raw = request.get();
    return std::make_unique<ResponseSender>(std::move(request), pool, clock, observer);
  }

  std::shared_ptr<const ModelSpec> spec;
  RecordingSink sink;
  FakeClock clock;
  HeapPool pool;
  std::shared_ptr<Recorder> observer = std::make_shared<Recorder>();
  Request* raw = nullptr;
};

Response response_of(float value) {
  Response response;
  response.outputs.push_back({0, floats(Shape{1, 1}, {value})});
  return response;
}

}  // namespace

TEST_CASE("response sender: a decoupled model's responses go home in order, the last with the request") {
  Scene scene(true);
  auto sender = scene.sender();
  CHECK(sender->send(response_of(1), false).ok());
  CHECK(sender->send(response_of(2), false).ok());
  CHECK(scene.sink.size() == 0);
  CHECK(sender->send(response_of(3), true).ok());
  REQUIRE(scene.sink.responses().size() == 2);
  CHECK(values_of(scene.sink.responses()[1].outputs[0].tensor) == std::vector<float>{2});
  REQUIRE(scene.sink.size() == 1);
  CHECK(values_of(scene.sink.homes()[0].response.outputs[0].tensor) == std::vector<float>{3});
  CHECK_FALSE(scene.sink.homes()[0].response.is_empty);
  CHECK(sender->send(response_of(4), false).code() == Code::kInvalidArgument);
  CHECK(sender->finish().code() == Code::kInvalidArgument);
  sender.reset();
  CHECK(scene.sink.size() == 1);
  REQUIRE(scene.observer->all.size() == 3);
  CHECK(scene.observer->all[2].place == 2);
  CHECK(scene.observer->all[2].is_last);
  CHECK_FALSE(scene.observer->all[1].is_last);
}

TEST_CASE("response sender: an end alone is an empty answer") {
  Scene scene(true);
  auto sender = scene.sender();
  CHECK(sender->finish().ok());
  REQUIRE(scene.sink.size() == 1);
  CHECK(scene.sink.homes()[0].response.is_empty);
  CHECK(scene.sink.homes()[0].response.status.ok());
}

TEST_CASE("response sender: one that is let go of fails its request, whatever it has sent") {
  Scene scene(true);
  auto sender = scene.sender();
  CHECK(sender->send(response_of(1), false).ok());
  sender.reset();
  REQUIRE(scene.sink.size() == 1);
  CHECK(scene.sink.homes()[0].response.status.message() ==
        "model 'm' let go of the request before its last response");
}

TEST_CASE("response sender: a model that is not decoupled gives one response, sent at the end") {
  Scene scene(false);
  auto sender = scene.sender();
  CHECK(sender->send(response_of(1), false).ok());
  CHECK(scene.sink.size() == 0);
  CHECK(sender->send(response_of(2), true).code() == Code::kInvalidArgument);
  CHECK(sender->finish().ok());
  REQUIRE(scene.sink.size() == 1);
  CHECK(values_of(scene.sink.homes()[0].response.outputs[0].tensor) == std::vector<float>{1});

  Scene none(false);
  CHECK(none.sender()->finish().ok());
  CHECK(none.sink.homes()[0].response.status.code() == Code::kInternal);
}

TEST_CASE("response sender: outputs that are not wanted are left out") {
  Scene scene(true);
  auto sender = scene.sender();
  scene.raw->wanted = {false};
  CHECK(sender->send(response_of(1), true).ok());
  CHECK(scene.sink.homes()[0].response.outputs.empty());
}

TEST_CASE("response sender: whoever is far ahead of the reader waits, until it reads or goes") {
  Scene scene(true);
  auto sender = scene.sender();
  for (std::size_t i = 0; i < ResponseWindow::kMaxResponses; ++i) {
    REQUIRE(sender->send(response_of(1), false).ok());
  }
  const std::shared_ptr<ResponseWindow> window = scene.raw->window;
  std::thread reader([&] { window->taken(sizeof(float)); });
  CHECK(sender->send(response_of(2), false).ok());
  reader.join();
  scene.raw->cancelled.store(true);
  CHECK(sender->send(response_of(3), false).ok());  // nobody reads: it does not wait
  CHECK(sender->cancelled());
  CHECK(sender->finish().ok());
  CHECK(sender->cancelled());
}

TEST_CASE("response sender: abandoned while a thread waits in it, the request ends once") {
  Scene scene(true);
  auto sender = scene.sender();
  for (std::size_t i = 0; i < ResponseWindow::kMaxResponses; ++i) {
    REQUIRE(sender->send(response_of(1), false).ok());
  }
  std::thread writer([&] {
    while (sender->send(response_of(2), false).ok()) {
    }
  });
  sender->abandon();
  writer.join();
  REQUIRE(scene.sink.size() == 1);
  CHECK(scene.sink.homes()[0].response.status.message() == "model 'm' was unloaded before its last response");
}
