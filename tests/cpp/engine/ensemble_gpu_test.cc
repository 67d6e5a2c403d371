#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "fakes/seeds.h"
#include "gpu_ensemble_kit.h"

// What a step has made on a GPU stays there for the next one, and is on the host wherever the host reads it.

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr int kHost = GpuEnsembles::kHost;

// Lets a model's batches through when the test says so.
struct Gate {
  void pass() {
    std::unique_lock lock(mutex);
    ++num_waiting;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
  }
  void wait_until_reached() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return num_waiting > 0; });
  }
  void let_through() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t num_waiting = 0;
  bool open = false;
};

}  // namespace

TEST_CASE(
    "gpu ensemble: two and three steps copy to the host at their end alone, and answer as on the host") {
  for (const std::size_t num_steps : {std::size_t{2}, std::size_t{3}}) {
    for (const int where : {0, kHost}) {
      GpuEnsembles house;
      for (const char* name : {"a", "b", "c"}) house.add(name, where);
      std::vector<std::string> steps{"a", "b", "c"};
      steps.resize(num_steps);
      house.chain("e", steps);
      for (int i = 0; i < 20; ++i) {
        const std::uint64_t tag = house.ask("e", static_cast<float>(i));
        CHECK(house.answer(tag).second == filled(static_cast<float>(i) + static_cast<float>(num_steps)));
      }
      house.close();
      CHECK(house.num_copies_to_host() == (where == kHost ? 0 : 20));
      CHECK(house.faults() == "");
      CHECK(house.first->num_copies() == (where == kHost ? 0 : 40));  // in, and out
    }
  }
}

TEST_CASE("gpu ensemble: batches join requests of several ensembles, and of clients, who get their copy") {
  GpuEnsembles house;
  for (const char* name : {"a", "b", "c"}) house.add(name, 0);
  house.chain("ab", {"a", "b"});
  house.chain("acb", {"a", "c", "b"});
  std::mt19937 random(5);
  std::vector<float> expected;
  for (int i = 0; i < 300; ++i) {
    const auto value = static_cast<float>(i);
    const auto rows = static_cast<std::int64_t>(1 + random() % 3);
    switch (random() % 3) {
      case 0:
        house.ask("ab", value, rows);
        expected.push_back(value + 2);
        break;
      case 1:
        house.ask("acb", value, rows);
        expected.push_back(value + 3);
        break;
      default:
        house.ask("a", value, rows);
        expected.push_back(value + 1);
    }
  }
  for (std::size_t tag = 0; tag < expected.size(); ++tag) {
    const auto [status, values] = house.answer(tag);
    REQUIRE(status.message() == "");
    CHECK(values == filled(expected[tag], values.size()));
  }
  house.close();
  CHECK(house.faults() == "");
}

TEST_CASE("gpu ensemble: steps on two GPUs copy from one to the other") {
  GpuEnsembles house;
  house.add("a", 0);
  house.add("b", 1);
  house.add("c", 0);
  house.chain("e", {"a", "b", "c"});
  CHECK(house.answer(house.ask("e", 1)).second == filled(4));
  house.close();
  CHECK(house.num_copies_to_host() == 1);
  CHECK(house.faults() == "");
}

TEST_CASE(
    "gpu ensemble: what a step on the host reads comes over the host, also for the others who read it") {
  for (const bool on_host : {false, true}) {
    GpuEnsembles house;
    house.add("a", 0);
    house.add("left", 0);
    house.add("right", on_host ? kHost : 0);
    EnsemblePlan plan;
    plan.tensors = {"X", "m", "l", "r"};
    plan.inputs = {0};
    plan.outputs = {2, 3};
    plan.steps = {{"a", {}, {{"X", 0, false}}, {{"Y", 1, false}}, {}},
                  {"left", {}, {{"X", 1, false}}, {{"Y", 2, false}}, {}},
                  {"right", {}, {{"X", 1, false}}, {{"Y", 3, false}}, {}}};
    ModelSpec spec = GpuEnsembles::spec_of("e");
    spec.outputs.push_back({"Z", DataType::kFp32, Shape{-1}, {}, false, {}});
    house.engine.publish("e", {house.engine.start_ensemble(spec, plan)});
    CHECK(house.answer(house.ask("e", 5)).second == filled(7));
    CHECK(values_of(house.answers.all().at(0).outputs.at(1).tensor) == filled(7));
    house.close();
    CHECK(house.num_copies_to_host() == 2);  // of the answers; or of what both read and of one answer
    CHECK(house.faults() == "");
  }
}

TEST_CASE("gpu ensemble: what is kept, or is an answer itself, is copied") {
  GpuEnsembles house(1 << 20);
  ModelSpec cached = GpuEnsembles::spec_of("kept");
  cached.cached = true;
  house.add(cached, 0);
  house.add("b", 0);
  house.chain("from", {"kept", "b"});
  house.chain("to", {"b", "kept"});
  house.chain("inner", {"b", "b"});
  house.chain("outer", {"inner", "b"});
  CHECK(house.answer(house.ask("from", 1)).second == filled(3));
  CHECK(house.num_copies_to_host() == 2);
  CHECK(house.answer(house.ask("from", 1)).second == filled(3));
  CHECK(house.num_copies_to_host() == 3);  // the first step is answered from the cache
  CHECK(house.answer(house.ask("to", 7)).second == filled(9));
  CHECK(house.num_copies_to_host() == 5);
  CHECK(house.answer(house.ask("outer", 1)).second == filled(4));
  CHECK(house.num_copies_to_host() == 7);  // of the inner one's answer, and of the outer one's
  house.close();
  CHECK(house.faults() == "");
}

TEST_CASE("gpu ensemble: a step that has gone from the GPU to the host meanwhile is given a copy") {
  for (const bool in_queue : {false, true}) {
    GpuEnsembles house;
    Gate gate;
    // Of both models' batches the one with this value waits.
    const float held = in_queue ? 1 : 0;
    std::atomic<bool> holds{true};
    house.script->finished = [&](DeviceBatch& batch) {
      const std::string& name = batch.execution().model().name;
      if (name == (in_queue ? "b" : "a") && holds) gate.pass();
    };
    house.add("a", 0);
    const auto b = house.add("b", 0);
    house.chain("e", {"a", "b"});
    house.ask("e", held);
    gate.wait_until_reached();
    if (!in_queue) {
      // The answer of the first step is decided to stay on the GPU: the second one comes to a model on the
      // host.
      house.engine.publish("b", {house.engine.start(GpuEnsembles::spec_of("b"), house.factory(),
                                                    {GpuEnsembles::plan_of("b", kHost)})});
      gate.let_through();
      CHECK(house.answer(0).second == filled(2));
    } else {
      holds = false;
      // One batch is under way and waits; those behind it have been taken, or wait in the queue, on the GPU.
      for (int i = 0; i < 20; ++i) house.ask("e", 2);
      std::jthread release([&] { gate.let_through(); });
      b->resize(house.factory(), {GpuEnsembles::plan_of("b", kHost)});
      for (std::uint64_t tag = 1; tag <= 20; ++tag) CHECK(house.answer(tag).second == filled(4));
      CHECK(house.answer(0).second == filled(held + 2));
    }
    house.close();
    CHECK(house.faults() == "");
  }
}

TEST_CASE("gpu ensemble: a copy that fails is an error that names model and input") {
  GpuEnsembles house;
  Gate gate;
  house.script->finished = [&](DeviceBatch& batch) {
    if (batch.execution().model().name == "a") gate.pass();
  };
  house.add("a", 0);
  house.add("b", 0);
  house.chain("e", {"a", "b"});
  house.ask("e", 1);
  gate.wait_until_reached();
  house.engine.publish("b", {house.engine.start(GpuEnsembles::spec_of("b"), house.factory(),
                                                {GpuEnsembles::plan_of("b", kHost)})});
  house.first->fail_call(1, true);
  gate.let_through();
  const Status status = house.answer(0).first;
  CHECK(status.code() == Code::kInternal);
  CHECK(status.message().find("input 'X' of model 'b' is on a GPU, the model reads it on the host") !=
        std::string::npos);
  house.first->heal();
}

TEST_CASE(
    "gpu ensemble: whatever fails and whenever, each request is answered once, rightly or with an error") {
  std::size_t num_right = 0;
  std::size_t num_wrong = 0;
  const Seeds all = seeds(30);
  for (std::uint32_t seed = all.first; seed < all.end; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    GpuEnsembles house;
    house.script->made = [&] {
      house.first->heal();
      house.second->heal();
    };
    house.add("a", 0);
    house.add("b", static_cast<int>(random() % 2));
    house.add("c", 0);
    house.chain("ab", {"a", "b"});
    house.chain("abc", {"a", "b", "c"});
    std::atomic<bool> done{false};
    std::jthread saboteur([&, begin = random()] {
      std::mt19937 own(begin);
      while (!done) {
        FakeGpu& gpu = own() % 2 == 0 ? *house.first : *house.second;
        if (own() % 2 == 0) {
          gpu.fail_work(1 + own() % 40);
        } else {
          gpu.fail_call(1 + own() % 80, own() % 2 == 0);
        }
        std::this_thread::yield();
      }
    });
    std::vector<float> expected;
    for (int i = 0; i < 40; ++i) {
      const auto value = static_cast<float>(i);
      const std::size_t way = random() % 3;
      expected.push_back(value + static_cast<float>(way + 1));
      auto made = house.request(way == 0 ? "a" : way == 1 ? "ab" : "abc", 1, 64, value);
      if (random() % 8 == 0) made->cancelled.store(true);
      if (Status status = house.engine.submit(made); !status.ok()) {
        house.answers.complete(std::move(made), Response{std::move(status), {}, {}});
      }
    }
    house.answers.wait(expected.size());
    done = true;
    saboteur.join();
    for (std::size_t tag = 0; tag < expected.size(); ++tag) {
      const auto [status, values] = house.answer(tag);
      status.ok() ? ++num_right : ++num_wrong;
      if (status.ok()) {
        CHECK(values == filled(expected[tag]));
      } else {
        CHECK((status.code() == Code::kInternal || status.code() == Code::kUnavailable ||
               status.code() == Code::kCancelled));
      }
    }
    house.close();
    CHECK(house.answers.all().size() == expected.size());
    CHECK(house.faults() == "");
  }
  CHECK(num_right > 0);
  CHECK(num_wrong > 0);
}

TEST_CASE("gpu ensemble: a thousand times loaded and unloaded, all memory and all streams are back") {
  GpuEnsembles house;
  for (int cycle = 0; cycle < 1000; ++cycle) {
    std::vector<std::shared_ptr<Model>> models;
    for (const char* name : {"a", "b"}) models.push_back(house.add(name, 0));
    models.push_back(house.chain("e", {"a", "b"}));
    house.ask("e", 1);
    house.ask("e", 2);
    CHECK(house.answer(house.num_asked - 1).second == filled(4));
    for (auto model = models.rbegin(); model != models.rend(); ++model) {
      house.engine.forget((*model)->spec().name);
      house.engine.stop(**model, true);
    }
    models.clear();
    house.engine.trim();
    REQUIRE(house.first->allocated_bytes() == 0);
    REQUIRE(house.first->num_streams() == 0);
  }
  CHECK(house.num_copies_to_host() <= 2000);
  CHECK(house.first->num_waits_to_free() == 0);
  CHECK(house.faults() == "");
}
