#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "device_kit.h"

// Two slots: what a batch takes in the long run is the longer of copying and computing, in virtual time.

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::int64_t kWidth = 25'000;  // 100 KB
constexpr GpuRates kRates{.bus_bytes_per_ns = 2.5};
constexpr std::size_t kNumBatches = 100;

constexpr auto kCopyNs = kRates.copy_ns + static_cast<std::uint64_t>(kWidth * 4 / kRates.bus_bytes_per_ns);

std::shared_ptr<FakeGpu> slow_bus() {
  return std::make_shared<FakeGpu>(0, std::size_t{1} << 30, kRates);
}

// Of one batch, when there are many one after the other.
double steady_ns(DeviceHouse& house) {
  house.open();
  for (std::size_t i = 0; i < kNumBatches; ++i) house.submit(1, kWidth, static_cast<float>(i));
  const auto answers = house.home.wait(kNumBatches);
  house.end();
  for (std::size_t i = 0; i < kNumBatches; ++i) {
    CHECK(answers[i].tag == i);
    CHECK(answers[i].status.ok());
    CHECK(answers[i].values.front() == static_cast<float>(i) + 1);
    CHECK(answers[i].values.back() == static_cast<float>(i) + 1);
  }
  CHECK(house.gpu->faults() == "");
  return static_cast<double>(house.gpu->end_ns()) / kNumBatches;
}

double steady_ns(std::uint64_t compute_ns, ModelSpec model = network_model(1)) {
  DeviceHouse house(std::move(model), {.compute_ns = compute_ns}, {}, slow_bus());
  return steady_ns(house);
}

}  // namespace

TEST_CASE("overlap: where computing takes longer, nothing but computing takes time") {
  const auto copies_ns = 2 * kCopyNs;
  for (const std::uint64_t compute_ns : {copies_ns, 2 * copies_ns, 10 * copies_ns}) {
    const double ns = steady_ns(compute_ns);
    CHECK(ns >= static_cast<double>(compute_ns));
    CHECK(ns <= 1.05 * static_cast<double>(compute_ns));
  }
}

TEST_CASE("overlap: where copying takes longer, nothing but copying takes time") {
  const auto copies_ns = 2 * kCopyNs;
  for (const std::uint64_t compute_ns : {copies_ns / 100, copies_ns / 4, copies_ns}) {
    CHECK(steady_ns(compute_ns) <= 1.05 * static_cast<double>(copies_ns));
  }
}

TEST_CASE("overlap: the steps of a sequence come one after the other") {
  // The proof that the makespan is no matter of course: with one slot it is the sum.
  ModelSpec model = network_model(1);
  SequenceSpec sequence;
  sequence.direct = true;
  sequence.max_idle_ns = 1'000'000'000'000;
  model.sequence = std::make_shared<const SequenceSpec>(sequence);
  DeviceHouse house(std::move(model), {.compute_ns = 50'000}, {}, slow_bus());
  house.open();
  constexpr std::size_t kNumSteps = 20;
  for (std::size_t i = 0; i < kNumSteps; ++i) {
    auto request = std::make_unique<Request>();
    request->spec = house.model;
    BufferRef block = house.pool.try_allocate(kWidth * 4);
    request->inputs.push_back({DataType::kFp32, Shape{1, kWidth}, block->data(), kWidth * 4, block});
    request->wanted = {true};
    request->sequence_id = 1;
    request->sequence_start = i == 0;
    request->sequence_end = i + 1 == kNumSteps;
    request->sink = &house.home;
    REQUIRE(house.scheduler->try_submit(request).ok());
  }
  house.home.wait(kNumSteps);
  house.end();
  CHECK(house.gpu->end_ns() >= kNumSteps * (2 * kCopyNs + 50'000));
  CHECK(house.gpu->faults() == "");
}

TEST_CASE("overlap: in a steady state no memory is allocated, and none waited for") {
  DeviceHouse house(network_model(1), {.compute_ns = 100'000});
  house.open();
  for (int i = 0; i < 200; ++i) house.submit(1, 1000, 1);
  house.home.wait(200);
  CHECK(house.gpu->num_allocations() <= 4);  // of two slots, what comes in and what goes out
  CHECK(house.gpu->num_waits_to_free() == 0);
  house.end();
}

TEST_CASE("overlap: while both slots are taken requests wait, and run together") {
  std::mutex gate;
  std::unique_lock closed(gate);
  NetworkScript script;
  script.before = [&](DeviceBatch&) { const std::lock_guard open(gate); };
  DeviceHouse house(network_model(8, true), script);
  house.open();
  for (int i = 0; i < 33; ++i) house.submit(1, 10, static_cast<float>(i));
  closed.unlock();
  const auto answers = house.home.wait(33);
  house.end();
  for (std::size_t i = 0; i < 33; ++i) CHECK(answers[i].values.front() == static_cast<float>(i) + 1);
  CHECK(house.num_batches() <= 6);
  CHECK(house.gpu->faults() == "");
}

TEST_CASE("overlap: two batches are under way; where they need what there is one of, one is") {
  for (const bool is_limited : {false, true}) {
    std::atomic<int> under_way{0};
    std::atomic<int> most{0};
    NetworkScript script;
    script.before = [&](DeviceBatch&) { most = std::max(most.load(), ++under_way); };
    script.finished = [&](DeviceBatch&) { --under_way; };
    RateNeeds needs;
    if (is_limited) needs.resources[{"R", RateResource::kGlobal}] = 1;
    DeviceHouse house(network_model(1), script, needs);
    house.open();
    for (int i = 0; i < 200; ++i) house.submit(1, 10, 1);
    house.home.wait(200);
    house.end();
    CHECK(most <= (is_limited ? 1 : 2));
    CHECK(under_way == 0);
  }
}
