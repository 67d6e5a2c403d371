#include "engine/summons.h"

#include <doctest/doctest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "fakes/heap_pool.h"
#include "fakes/requests.h"

using namespace naiad;
using namespace naiad::test;

namespace {

std::unique_ptr<Request> request_for(std::string_view model, CompletionSink& sink, std::uint64_t tag = 0) {
  auto request = row_request(1, 1);
  request->model_name = model;
  request->sink = &sink;
  request->tag = tag;
  return request;
}

// Takes what is submitted, or refuses it.
struct House {
  House() { summons.allow({"m", "n"}); }

  Status park(std::string_view model, std::uint64_t tag = 0) {
    auto request = request_for(model, sink, tag);
    Status status = summons.park(request);
    CHECK(status.ok() == (request == nullptr));
    return status;
  }
  std::vector<std::uint64_t> tags() {
    std::vector<std::uint64_t> tags;
    for (const auto& request : submitted) tags.push_back(request->tag);
    return tags;
  }

  RecordingSink sink;
  FakeClock clock;
  Status refusal;
  std::vector<std::unique_ptr<Request>> submitted;
  Summons summons{[this](std::unique_ptr<Request>& request) {
                    if (!refusal.ok()) return refusal;
                    submitted.push_back(std::move(request));
                    return Status();
                  },
                  clock};
};

class Echo final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

BackendFactory echo() {
  return [](const InstanceSpec&) { return std::make_unique<Echo>(); };
}

ModelSpec named_model(const std::string& name) {
  ModelSpec spec = row_model(8);
  spec.name = name;
  spec.max_queue_size = 1 << 20;
  return spec;
}

}  // namespace

TEST_CASE("a model is asked for once, and gets what was parked in its order") {
  House house;
  for (std::uint64_t tag = 1; tag <= 3; ++tag) CHECK(house.park("m", tag).ok());
  CHECK(house.park("n", 4).ok());
  CHECK(house.summons.take() == "m");
  CHECK(house.summons.take() == "n");
  CHECK(house.park("m", 5).ok());
  CHECK(house.summons.num_parked() == 5);
  house.summons.answer("m", {});
  CHECK(house.tags() == std::vector<std::uint64_t>{1, 2, 3, 5});
  CHECK(house.summons.num_parked() == 1);
  CHECK(house.park("m", 6).ok());
  CHECK(house.summons.take() == "m");
}

TEST_CASE("a model that is published gets what was parked, before the load is answered") {
  House house;
  CHECK(house.park("m", 1).ok());
  house.summons.arrived("m");
  CHECK(house.tags() == std::vector<std::uint64_t>{1});
  CHECK(house.park("m", 2).ok());  // it is gone again
  CHECK(house.summons.take() == "m");
  house.summons.answer("m", {});
  CHECK(house.tags() == std::vector<std::uint64_t>{1, 2});
}

TEST_CASE("models that may not be summoned are not known") {
  House house;
  CHECK(house.park("other").code() == Code::kNotFound);
  CHECK_FALSE(house.summons.allows("other"));
  CHECK(house.summons.allows("m"));
  house.summons.allow({"other"});
  CHECK(house.park("other").ok());
  CHECK(house.park("m").code() == Code::kNotFound);
}

TEST_CASE("a load that fails fails what is parked, and for a while what comes") {
  House house;
  CHECK(house.park("m", 1).ok());
  CHECK(house.summons.take() == "m");
  house.summons.answer("m", {Code::kUnavailable, "no weights"});
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.message() == "no weights");
  CHECK_FALSE(house.summons.takes("m"));
  CHECK(house.summons.allows("m"));
  CHECK(house.park("m").message() == "no weights");
  house.clock.advance(Summons::kRestNs - 1);
  CHECK(house.park("m").code() == Code::kUnavailable);
  CHECK(house.park("n").ok());
  house.clock.advance(1);
  CHECK(house.summons.takes("m"));
  CHECK(house.park("m").ok());
  CHECK(house.summons.take() == "n");
  CHECK(house.summons.take() == "m");
}

TEST_CASE("who loads a model otherwise ends its rest") {
  House house;
  CHECK(house.park("m").ok());
  CHECK(house.summons.take() == "m");
  house.summons.answer("m", {Code::kUnavailable, "no weights"});
  house.summons.arrived("m");
  CHECK(house.park("m").ok());
}

TEST_CASE("so many wait for one model, and no more") {
  House house;
  for (std::size_t i = 0; i < Summons::kMaxParked; ++i) REQUIRE(house.park("m").ok());
  CHECK(house.park("m").code() == Code::kUnavailable);
  CHECK(house.park("n").ok());
}

TEST_CASE("cancelled requests and those that are late leave while the model loads") {
  House house;
  CHECK_FALSE(house.summons.sweep());
  auto cancelled = request_for("m", house.sink, 1);
  Request* const seen = cancelled.get();
  REQUIRE(house.summons.park(cancelled).ok());
  auto late = request_for("m", house.sink, 2);
  late->deadline_ns = house.clock.now_ns() + 10;
  REQUIRE(house.summons.park(late).ok());
  CHECK(house.park("m", 3).ok());
  CHECK(house.summons.sweep());
  CHECK(house.sink.size() == 0);
  seen->cancelled = true;
  CHECK(house.summons.sweep());
  house.clock.advance(10);
  CHECK(house.summons.sweep());
  REQUIRE(house.sink.size() == 2);
  CHECK(house.sink.homes()[0].response.status.code() == Code::kCancelled);
  CHECK(house.sink.homes()[1].response.status.code() == Code::kDeadlineExceeded);
  house.summons.answer("m", {});
  CHECK(house.tags() == std::vector<std::uint64_t>{3});
  CHECK_FALSE(house.summons.sweep());
}

TEST_CASE("what the model refuses goes home with the reason") {
  House house;
  CHECK(house.park("m").ok());
  house.refusal = {Code::kInvalidArgument, "two inputs"};
  house.summons.answer("m", {});
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.message() == "two inputs");
}

TEST_CASE("who waits for the model alone is told, and not submitted") {
  House house;
  auto waiting = request_for("m", house.sink);
  waiting->awaits_model_only = true;
  REQUIRE(house.summons.park(waiting).ok());
  house.summons.answer("m", {});
  CHECK(house.submitted.empty());
  REQUIRE(house.sink.size() == 1);
  CHECK(house.sink.homes()[0].response.status.ok());
}

TEST_CASE("closing fails what is parked and ends who takes") {
  House house;
  CHECK(house.park("m").ok());
  CHECK(house.park("m").ok());
  CHECK(house.summons.take() == "m");
  std::jthread taker([&] { CHECK(house.summons.take() == std::nullopt); });
  house.summons.close();
  taker.join();
  CHECK(house.sink.size() == 2);
  CHECK(house.sink.homes()[0].response.status.code() == Code::kUnavailable);
  CHECK(house.park("m").code() == Code::kUnavailable);
  house.summons.answer("m", {});
  CHECK(house.submitted.empty());
}

TEST_CASE("an engine parks what is for a model that is not there, and refuses what nobody may summon") {
  Engine engine(make_arena_pool(16 << 20));
  RecordingSink sink;
  auto request = request_for("m", sink);
  CHECK(engine.submit(request).message() == "Request for unknown model: 'm' is not found");
  engine.summons().allow({"m"});
  CHECK(engine.can_summon("m"));
  REQUIRE(engine.submit(request).ok());
  auto waiting = request_for("m", sink);
  REQUIRE(engine.await_model(waiting).ok());
  CHECK(engine.summons().take() == "m");
  const auto model = engine.start(named_model("m"), echo(), {{"m_0", {}}});
  engine.publish("m", {model});
  CHECK_FALSE(engine.can_summon("m"));
  engine.summons().answer("m", {});
  auto bad = request_for("m", sink);
  bad->model_version = "7";
  CHECK(engine.submit(bad).code() == Code::kNotFound);
  engine.stop(*model, true);
  REQUIRE(sink.homes().size() == 2);
  for (const auto& home : sink.homes()) CHECK(home.response.status.ok());
}

TEST_CASE("requests in flight are counted until they are done with") {
  Engine engine(make_arena_pool(16 << 20));
  RecordingSink sink;
  const auto model = engine.start(named_model("m"), echo(), {{"m_0", {}}});
  engine.publish("m", {model});
  CHECK(model->num_in_flight() == 0);
  auto request = request_for("m", sink);
  REQUIRE(engine.submit(request).ok());
  engine.stop(*model, true);
  CHECK(model->num_in_flight() == 1);
  sink.homes().clear();
  CHECK(model->num_in_flight() == 0);
}

TEST_CASE("no request is lost while models come and go under load") {
  constexpr std::size_t kThreads = 4;
  constexpr std::uint64_t kEach = 400;
  const std::vector<std::string> names{"a", "b", "c"};
  Engine engine(make_arena_pool(64 << 20));
  engine.summons().allow({"a", "b", "c"});
  RecordingSink sink;
  // Keeps one model at a time.
  std::jthread loader([&] {
    std::shared_ptr<Model> there;
    while (const auto name = engine.summons().take()) {
      if (there && there->spec().name != *name) {
        engine.publish(there->spec().name, {});
        engine.stop(*there, true);
        there.reset();
      }
      if (!there) {
        there = engine.start(named_model(*name), echo(), {{*name + "_0", {}}});
        engine.publish(*name, {there});
      }
      engine.summons().answer(*name, {});
    }
  });
  std::atomic<std::size_t> refused{0};
  {
    std::vector<std::jthread> clients;
    for (std::size_t client = 0; client < kThreads; ++client) {
      clients.emplace_back([&, client] {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          auto request = request_for(names[(client + i / 8) % names.size()], sink, i);
          if (i % 50 == 49) request->cancelled = true;
          while (true) {
            const Status status = engine.submit(request);
            if (status.ok()) break;
            if (status.code() != Code::kUnavailable) ++refused;  // its queue is bounded
            std::this_thread::yield();
          }
        }
      });
    }
  }
  while (sink.size() < kThreads * kEach) std::this_thread::yield();
  engine.close();
  loader.join();
  CHECK(refused == 0);
  for (const auto& home : sink.homes()) {
    const bool cancelled = home.request->tag % 50 == 49;
    const Code code = home.response.status.code();
    CHECK((code == Code::kOk || (cancelled && code == Code::kCancelled)));
  }
}
