#include "schedule/adaptive_delay.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "schedule/dynamic_scheduler.h"

using namespace naiad;

namespace {

constexpr std::uint64_t kUs = 1000;
constexpr std::uint64_t kMs = 1000 * kUs;

// As many as it takes until something is decided.
void arrive(AdaptiveDelay& delay, std::uint64_t gap_ns, int count = 2 * AdaptiveDelay::kWindow) {
  static std::uint64_t now_ns = kMs;
  for (int i = 0; i < count; ++i) delay.arrived(now_ns += gap_ns);
}

void run(AdaptiveDelay& delay, const BatchTimes& times, std::size_t count = AdaptiveDelay::kLook) {
  for (std::size_t i = 0; i < count; ++i) delay.ran(times);
}

// One instance whose batch of n rows takes cost(n), and what came of it, on a clock that is moved by hand.
struct Simulation {
  using Cost = std::function<std::uint64_t(std::uint32_t)>;
  static constexpr std::uint64_t kStepNs = 10 * kUs;

  FakeClock clock;
  ModelSpec model;
  std::unique_ptr<DynamicScheduler> scheduler;
  Cost cost;
  Batch batch;
  std::uint64_t begun_ns = 0;
  std::vector<std::uint64_t> late_by_ns;  // of each batch: its oldest request's time, from queue to answer
  std::vector<std::uint32_t> sizes;

  Simulation(std::uint64_t target_ns, Cost each) : cost(std::move(each)) {
    model.max_batch_size = 32;
    model.max_queue_size = 8192;
    model.batching.dynamic = true;
    model.batching.latency_target_ns = target_ns;
    scheduler = std::make_unique<DynamicScheduler>(model, clock);
  }
  void push() {
    auto request = std::make_unique<Request>();
    REQUIRE(scheduler->try_submit(request).ok());
  }
  // How many requests have been answered in this step.
  std::uint32_t step() {
    clock.advance(kStepNs);
    std::uint32_t answered = 0;
    const auto rows = static_cast<std::uint32_t>(batch.requests.size());
    if (rows != 0 && clock.now_ns() >= begun_ns + cost(rows)) {
      const std::uint64_t queued_ns = batch.requests.front()->timestamps.queued_ns;
      scheduler->ran({rows, begun_ns - queued_ns, cost(rows), clock.now_ns()});
      late_by_ns.push_back(clock.now_ns() - queued_ns);
      sizes.push_back(rows);
      batch.requests.clear();
      answered = rows;
    }
    if (batch.requests.empty()) {
      if (auto next = scheduler->try_next()) {
        batch = std::move(*next);
        begun_ns = clock.now_ns();
        scheduler->begun();
      }
    }
    return answered;
  }
  // Arrivals without memory, so many a second.
  void load(double per_second, std::uint64_t for_ns) {
    std::mt19937 random(7);
    std::bernoulli_distribution comes(per_second * static_cast<double>(kStepNs) / 1e9);
    for (std::uint64_t end_ns = clock.now_ns() + for_ns; clock.now_ns() < end_ns;) {
      if (comes(random)) push();
      step();
    }
  }
  void forget() {
    late_by_ns.clear();
    sizes.clear();
  }
  double part_later_than(std::uint64_t ns) const {
    return static_cast<double>(std::ranges::count_if(late_by_ns, [&](auto each) { return each > ns; })) /
           static_cast<double>(late_by_ns.size());
  }
  double mean_size() const {
    double sum = 0;
    for (const std::uint32_t size : sizes) sum += size;
    return sum / static_cast<double>(sizes.size());
  }
};

}  // namespace

TEST_CASE("nothing is waited for while nothing is known") {
  AdaptiveDelay delay(10 * kMs);
  CHECK(delay.delay_ns() == 0);
  arrive(delay, 100 * kUs);
  CHECK(delay.delay_ns() == 0);
}

TEST_CASE("what the target leaves beside a slow batch is waited") {
  AdaptiveDelay delay(10 * kMs);
  arrive(delay, 100 * kUs);
  run(delay, {4, 0, 2 * kMs, 0});
  CHECK(delay.delay_ns() == 8 * kMs);
  CHECK(delay.quiet_ns() == 400 * kUs);
  run(delay, {4, 0, 12 * kMs, 0});
  CHECK(delay.delay_ns() == 0);
}

TEST_CASE("nothing is waited for when requests are further apart than that") {
  AdaptiveDelay delay(10 * kMs);
  arrive(delay, 20 * kMs);
  run(delay, {1, 0, 2 * kMs, 0});
  CHECK(delay.delay_ns() == 0);
  arrive(delay, 1 * kMs);
  CHECK(delay.delay_ns() == 8 * kMs);
}

TEST_CASE("one batch that is late costs a quarter, and what is lost comes back") {
  AdaptiveDelay delay(10 * kMs);
  arrive(delay, 100 * kUs);
  run(delay, {4, 0, 2 * kMs, 0});
  run(delay, {4, 9 * kMs, 2 * kMs, 0}, 1);
  run(delay, {4, 0, 2 * kMs, 0}, AdaptiveDelay::kLook - 1);
  CHECK(delay.delay_ns() == 6 * kMs);
  run(delay, {4, 0, 2 * kMs, 0});
  CHECK(delay.delay_ns() == 6'500 * kUs);
  run(delay, {4, 7 * kMs, 2 * kMs, 0});  // within the target, though not well
  CHECK(delay.delay_ns() == 6'500 * kUs);
  run(delay, {4, 0, 2 * kMs, 0}, 10 * AdaptiveDelay::kLook);
  CHECK(delay.delay_ns() == 8 * kMs);
}

TEST_CASE("nothing is waited for when larger batches are no cheaper") {
  AdaptiveDelay delay(10 * kMs);
  arrive(delay, 100 * kUs);
  for (int i = 0; i < 16; ++i) {
    run(delay, {1, 0, 100 * kUs, 0}, 8);
    run(delay, {8, 0, 790 * kUs, 0}, 8);
  }
  CHECK(delay.delay_ns() == 0);
  for (int i = 0; i < 16; ++i) {
    run(delay, {1, 0, 100 * kUs, 0}, 8);
    run(delay, {8, 0, 200 * kUs, 0}, 8);
  }
  CHECK(delay.delay_ns() > 0);
}

TEST_CASE("the wait ends early when it is quiet") {
  const std::vector<WaitingRequest> two{{1, 1000}, {1, 1200}};
  const BatchDecision decision = decide_batch({8, {8}, 500, 100}, two, true, 1250);
  CHECK(decision.take == 0);
  CHECK(decision.wait_until_ns == 1300);
  CHECK(decide_batch({8, {8}, 500, 100}, two, true, 1300).take == 2);
  CHECK(decide_batch({8, {8}, 500, 400}, two, true, 1300).wait_until_ns == 1500);
  CHECK(decide_batch({8, {8}, 500, 100, 1280}, two, true, 1300).wait_until_ns == 1380);
}

TEST_CASE("simulation: batches grow and their requests stay within the target") {
  const auto cost = [](std::uint32_t rows) { return 2 * kMs + rows * 50 * kUs; };
  Simulation adaptive(20 * kMs, cost);
  adaptive.load(800, 1000 * kMs);
  adaptive.forget();
  adaptive.load(800, 20'000 * kMs);
  CHECK(adaptive.part_later_than(20 * kMs) < 0.02);
  Simulation at_once(0, cost);
  at_once.load(800, 20'000 * kMs);
  CHECK(adaptive.mean_size() > 1.5 * at_once.mean_size());
  CHECK(adaptive.scheduler->found_delay_ns().value() > 0);
  CHECK_FALSE(at_once.scheduler->found_delay_ns().has_value());
}

TEST_CASE("simulation: a model that becomes slower is not asked to wait too long") {
  std::uint64_t fixed_ns = 2 * kMs;
  Simulation simulation(20 * kMs, [&](std::uint32_t rows) { return fixed_ns + rows * 50 * kUs; });
  simulation.load(800, 2000 * kMs);
  fixed_ns = 8 * kMs;
  simulation.load(800, 2000 * kMs);
  simulation.forget();
  simulation.load(800, 20'000 * kMs);
  CHECK(simulation.part_later_than(20 * kMs) < 0.03);
}

TEST_CASE("simulation: who comes alone does not wait") {
  Simulation simulation(20 * kMs, [](std::uint32_t) { return 2 * kMs; });
  simulation.load(20, 5000 * kMs);
  simulation.forget();
  simulation.load(20, 20'000 * kMs);
  CHECK(simulation.part_later_than(5 * kMs) < 0.05);
}

TEST_CASE("simulation: clients that wait for their answers are not waited for once all are there") {
  Simulation simulation(20 * kMs, [](std::uint32_t) { return 2 * kMs; });
  for (int i = 0; i < 8; ++i) {
    simulation.push();
    simulation.step();
  }
  for (int i = 0; i < 200'000; ++i) {
    if (i == 100'000) simulation.forget();
    // Those that were answered come again, one in each step.
    for (std::uint32_t left = simulation.step(); left > 0; --left) {
      simulation.push();
      simulation.step();
    }
  }
  CHECK(simulation.mean_size() > 7.5);
  CHECK(simulation.part_later_than(3 * kMs) < 0.01);
}
