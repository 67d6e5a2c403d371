#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "engine/engine.h"
#include "fakes/requests.h"

using namespace naiad;
using naiad::test::RecordingSink;
using naiad::test::row_model;
using naiad::test::row_request;

namespace {

// Which instances live, and which were ever made.
struct Register {
  std::mutex mutex;
  std::set<std::string> living;
  std::vector<std::string> made;

  std::set<std::string> names() {
    const std::lock_guard lock(mutex);
    return living;
  }
};

class Registered final : public Backend {
 public:
  Registered(Register& all, std::string name) : all_(all), name_(std::move(name)) {
    const std::lock_guard lock(all_.mutex);
    all_.living.insert(name_);
    all_.made.push_back(name_);
  }
  ~Registered() override {
    const std::lock_guard lock(all_.mutex);
    all_.living.erase(name_);
  }
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }

 private:
  Register& all_;
  const std::string name_;
};

BackendFactory registered(Register& all) {
  return [&all](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    if (spec.name == "m_bad") throw Error(Code::kInternal, "no memory");
    return std::make_unique<Registered>(all, spec.name);
  };
}

std::vector<InstancePlan> named(const std::vector<std::string>& names) {
  std::vector<InstancePlan> plans;
  for (const std::string& name : names) plans.push_back({name, {}});
  return plans;
}

}  // namespace

TEST_CASE("instances come and go while requests are served") {
  Register all;
  Engine engine(make_arena_pool(64 << 20));
  RecordingSink sink;
  ModelSpec spec = row_model(8);
  spec.max_queue_size = 100'000;
  const auto model = engine.start(spec, registered(all), named({"m_0"}));
  engine.publish("m", {model});
  std::atomic<bool> done = false;
  std::size_t num_sent = 0;
  std::jthread client([&] {
    while (!done) {
      auto request = row_request(1, 2, 1);
      request->sink = &sink;
      if (engine.submit(request).ok()) ++num_sent;
      if (num_sent % 64 == 0) std::this_thread::yield();
    }
  });
  for (int turn = 0; turn < 20; ++turn) {
    model->resize(registered(all), named({"m_0", "m_1", "m_2", "m_3"}));
    CHECK(all.names() == std::set<std::string>{"m_0", "m_1", "m_2", "m_3"});
    model->resize(registered(all), named({"m_0", "m_2"}));
    CHECK(all.names() == std::set<std::string>{"m_0", "m_2"});
    model->resize(registered(all), named({"m_0"}));
  }
  done = true;
  client.join();
  engine.stop(*model, true);
  CHECK(sink.size() == num_sent);
  for (const auto& home : sink.homes()) CHECK(home.response.status.ok());
  CHECK(std::ranges::count(all.made, "m_0") == 1);
  CHECK(all.names().empty());
}

TEST_CASE("an idle model's instances end when they are called") {
  Register all;
  Engine engine(make_arena_pool(64 << 20));
  const auto model = engine.start(row_model(8), registered(all), named({"m_0", "m_1", "m_2", "m_3"}));
  model->resize(registered(all), named({"m_3"}));
  CHECK(all.names() == std::set<std::string>{"m_3"});
  CHECK(model->is_healthy());
}

TEST_CASE("an instance that can not be loaded leaves all as it was") {
  Register all;
  Engine engine(make_arena_pool(64 << 20));
  const auto model = engine.start(row_model(8), registered(all), named({"m_0", "m_1"}));
  CHECK_THROWS_WITH_AS(model->resize(registered(all), named({"m_0", "m_2", "m_bad"})), "no memory", Error);
  CHECK(all.names() == std::set<std::string>{"m_0", "m_1"});
}

TEST_CASE("a passive instance can be added, and not be the only one") {
  Register all;
  Engine engine(make_arena_pool(64 << 20));
  const auto model = engine.start(row_model(8), registered(all), named({"m_0"}));
  std::vector<InstancePlan> plans = named({"m_0", "m_1"});
  plans[1].passive = true;
  model->resize(registered(all), plans);
  CHECK(all.names() == std::set<std::string>{"m_0", "m_1"});
  CHECK_THROWS_AS(model->resize(registered(all), {plans[1]}), Error);
  model->resize(registered(all), named({"m_0"}));
  CHECK(all.names() == std::set<std::string>{"m_0"});
}

TEST_CASE("a model of sequences keeps the instances that it was made for") {
  Register all;
  Engine engine(make_arena_pool(64 << 20));
  ModelSpec spec = row_model(8);
  spec.sequence = std::make_shared<const SequenceSpec>();
  const auto model = engine.start(spec, registered(all), named({"m_0"}));
  CHECK_THROWS_AS(model->resize(registered(all), named({"m_0", "m_1"})), Error);
  CHECK(all.names() == std::set<std::string>{"m_0"});
}
