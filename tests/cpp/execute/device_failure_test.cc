#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "device_kit.h"
#include "fakes/seeds.h"

// An instance whose GPU fails: every request is answered, the instance is made anew, memory comes back.

using namespace naiad;
using namespace naiad::test;

namespace {

bool is_right(const AnswersAtHome::Answer& answer) {
  return answer.status.ok() && answer.values == std::vector<float>(10, static_cast<float>(answer.tag) + 1);
}

void submit(DeviceHouse& house, int count) {
  for (int i = 0; i < count; ++i) {
    // The value is the number of the request.
    house.submit(1, 10, static_cast<float>(house.num_submitted()));
  }
}

}  // namespace

TEST_CASE("failure: a batch that fails the GPU fails with a typed error, and the next ones go well") {
  auto gpu = std::make_shared<FakeGpu>();
  std::atomic<int> num_made{0};
  NetworkScript script;
  script.made = [&] {
    if (num_made++ > 0) gpu->heal();
  };
  DeviceHouse house(network_model(1), script, {}, gpu);
  house.open();
  submit(house, 1);
  CHECK(is_right(house.home.wait(1)[0]));
  gpu->fail_work(2);
  submit(house, 3);
  house.home.wait(4);
  submit(house, 20);
  const auto answers = house.home.wait(24);
  house.end();
  CHECK(num_made == 2);
  std::size_t num_failed = 0;
  for (const auto& answer : answers) {
    if (is_right(answer)) continue;
    ++num_failed;
    CHECK(answer.status.code() == Code::kInternal);
    CHECK(answer.status.message().find("the GPU failed") == 0);
  }
  CHECK(num_failed >= 1);
  CHECK(num_failed <= 2);  // those of the two slots
  for (std::size_t i = 4; i < 24; ++i) CHECK(is_right(answers[i]));
  CHECK(gpu->faults() == "");
}

TEST_CASE("failure: while it cannot be made anew its requests are told so, and then served") {
  auto gpu = std::make_shared<FakeGpu>();
  std::atomic<bool> is_broken{false};
  std::atomic<int> num_tries{0};
  NetworkScript script;
  script.made = [&] {
    ++num_tries;
    if (is_broken) throw Error(Code::kInternal, "still broken");
    gpu->heal();
  };
  DeviceHouse house(network_model(1), script, {}, gpu);
  house.open();
  is_broken = true;
  gpu->fail_work(1);
  submit(house, 1);
  house.home.wait(1);
  // The answer is home before the instance has looked what became of its GPU.
  while (num_tries < 2) std::this_thread::yield();
  submit(house, 1);
  const auto answers = house.home.wait(2);
  CHECK(answers[1].status.code() == Code::kUnavailable);
  CHECK(answers[1].status.message().find("'m': its instance is made anew, after its GPU has failed") !=
        std::string::npos);
  is_broken = false;
  // Answered one way or the other, until it serves again.
  std::size_t count = 2;
  while (!house.home.wait(count).back().status.ok()) {
    submit(house, 1);
    ++count;
  }
  CHECK(is_right(house.home.wait(count).back()));
  CHECK(num_tries >= 3);
  house.end();
}

TEST_CASE("failure: a house that is closed while its instance is down comes to its end") {
  auto gpu = std::make_shared<FakeGpu>();
  std::atomic<int> num_tries{0};
  NetworkScript script;
  script.made = [&] {
    if (num_tries++ > 0) throw Error(Code::kInternal, "still broken");
  };
  DeviceHouse house(network_model(1), script, {}, gpu);
  house.open();
  gpu->fail_work(1);
  submit(house, 5);
  house.home.wait(1);
  house.end();
  CHECK(house.home.wait(5).size() == 5);
}

TEST_CASE("failure: no GPU, and a GPU that gives no stream, are refused when the model is loaded") {
  auto gpu = std::make_shared<FakeGpu>();
  DeviceHouse house(network_model(1), {}, {}, gpu);
  gpu->fail_call(1);
  CHECK_THROWS_WITH(house.open(),
                    "unable to load model 'm': the GPU failed to make a stream: fake failure of a call");
  DeviceHouse none(network_model(1));
  none.absent = true;
  CHECK_THROWS_WITH(none.open(), "unable to load model 'm': GPUs not supported: there is none");
}

TEST_CASE("failure: a backend that looked at the GPU and does without runs as any other") {
  DeviceHouse house(network_model(1), {.does_without = true});
  house.open();
  house.submit(1, 10, 5);
  CHECK(house.home.wait(1)[0].values == std::vector<float>(10, 5));
  CHECK(house.gpu->num_copies() == 0);
  house.end();
  CHECK(house.gpu->num_streams() == 0);
}

TEST_CASE("failure: warm-up runs on the GPU, and fails the load where it fails") {
  ModelSpec model = network_model(1);
  WarmupSample sample;
  sample.name = "s";
  sample.count = 3;
  sample.inputs = {{0, floats(Shape{1, 10}, std::vector<float>(10, 1))}};
  model.warmups.push_back(sample);
  std::atomic<int> num_run{0};
  NetworkScript script;
  script.before = [&](DeviceBatch&) { ++num_run; };
  DeviceHouse house(model, script);
  house.open();
  CHECK(num_run == 3);
  submit(house, 1);
  CHECK(is_right(house.home.wait(1)[0]));
  house.end();
  script.before = [](DeviceBatch&) { throw Error(Code::kInvalidArgument, "too warm"); };
  DeviceHouse cold(model, script);
  CHECK_THROWS_WITH(cold.open(), "failed to run warmup sample 's' of model 'm': too warm");
}

TEST_CASE("failure: what waits is dropped where the house is closed without draining; the rest is answered") {
  DeviceHouse house(network_model(1));
  house.open();
  submit(house, 100);
  house.end(false);
  for (const auto& answer : house.home.wait(100)) {
    CHECK((is_right(answer) || answer.status.code() != Code::kOk));
  }
  CHECK(house.gpu->faults() == "");
}

TEST_CASE("failure: whatever fails and whenever, every request is answered once and no wrong bytes go home") {
  std::size_t num_right = 0;
  std::size_t num_wrong = 0;
  const Seeds all = seeds(60);
  for (std::uint32_t seed = all.first; seed < all.end; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    auto gpu = std::make_shared<FakeGpu>();
    NetworkScript script;
    script.made = [&] { gpu->heal(); };
    ModelSpec model = network_model(4, random() % 2 == 0);
    model.device.gather_threshold = random() % 4;
    DeviceHouse house(std::move(model), script, {}, gpu);
    house.open();
    std::atomic<bool> done{false};
    const auto first = random();
    const std::jthread saboteur([&, first] {
      std::mt19937 own(first);
      while (!done) {
        switch (own() % 3) {
          case 0:
            gpu->fail_work(1 + own() % 20);
            break;
          case 1:
            gpu->fail_call(1 + own() % 40, own() % 2 == 0);
            break;
          default:
            gpu->work_off();
        }
        std::this_thread::yield();
      }
    });
    constexpr int kRequests = 60;
    submit(house, kRequests);
    const auto answers = house.home.wait(kRequests);
    done = true;
    house.end();
    CHECK(house.home.wait(kRequests).size() == kRequests);
    std::vector<bool> seen(kRequests);
    for (const auto& answer : answers) {
      CHECK_FALSE(seen[answer.tag]);
      seen[answer.tag] = true;
      if (answer.status.ok()) {
        ++num_right;
        CHECK(is_right(answer));
      } else {
        ++num_wrong;
        CHECK((answer.status.code() == Code::kInternal || answer.status.code() == Code::kUnavailable));
      }
    }
    CHECK(gpu->faults() == "");
  }
  CHECK(num_right > 0);
  CHECK(num_wrong > 0);
}

TEST_CASE("failure: a thousand times loaded and unloaded, all memory and all streams are back") {
  auto gpu = std::make_shared<FakeGpu>();
  Gpus gpus([&](int, std::shared_ptr<Gpu>& opened) -> Status {
    opened = gpu;
    return {};
  });
  for (int cycle = 0; cycle < 1000; ++cycle) {
    DeviceHouse house(network_model(1), {}, {}, gpu);
    house.shared_gpus = &gpus;
    house.open();
    submit(house, 3);
    for (const auto& answer : house.home.wait(3)) CHECK(is_right(answer));
    house.end();
    gpus.trim();
    REQUIRE(gpu->allocated_bytes() == 0);
    REQUIRE(gpu->num_streams() == 0);
  }
  CHECK(gpu->num_waits_to_free() == 0);
  CHECK(gpu->faults() == "");
}
