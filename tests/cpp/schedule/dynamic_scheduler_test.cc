#include "schedule/dynamic_scheduler.h"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/clock.h"

using namespace naiad;

namespace {

ModelSpec model(std::uint32_t max_batch_size, bool dynamic, std::uint64_t delay_ns = 0) {
  ModelSpec spec;
  spec.name = "m";
  spec.max_batch_size = max_batch_size;
  spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, true, {}});
  spec.batching.dynamic = dynamic;
  spec.batching.max_queue_delay_ns = delay_ns;
  spec.max_queue_size = 1000;
  return spec;
}

// As admission leaves it; `width` 0 leaves the optional input out.
std::unique_ptr<Request> admitted(std::uint32_t rows, std::int64_t width = 2, std::uint64_t tag = 0) {
  auto request = std::make_unique<Request>();
  request->inputs.resize(1);
  if (width > 0) {
    request->inputs[0].dtype = DataType::kFp32;
    request->inputs[0].shape = Shape{rows, width};
  }
  request->num_rows = rows;
  request->tag = tag;
  return request;
}

void push(DynamicScheduler& scheduler, std::unique_ptr<Request> request) {
  REQUIRE(scheduler.try_submit(request).ok());
}

std::vector<std::uint64_t> tags(const Batch& batch) {
  std::vector<std::uint64_t> list;
  for (const auto& request : batch.requests) list.push_back(request->tag);
  return list;
}

}  // namespace

TEST_CASE("without dynamic batching each batch is one request, in order") {
  FakeClock clock;
  const ModelSpec spec = model(8, false);
  DynamicScheduler scheduler(spec, clock);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) push(scheduler, admitted(1, 2, tag));
  CHECK(scheduler.num_waiting() == 3);
  for (std::uint64_t tag = 1; tag <= 3; ++tag) CHECK(tags(scheduler.try_next().value()) == std::vector{tag});
  CHECK_FALSE(scheduler.try_next().has_value());
  CHECK(scheduler.num_waiting() == 0);
}

TEST_CASE("a batch holds equal shapes only, and is found past those that differ; the oldest is first") {
  FakeClock clock;
  const ModelSpec spec = model(4, true, 1000);
  DynamicScheduler scheduler(spec, clock);
  push(scheduler, admitted(1, 2, 1));
  push(scheduler, admitted(1, 3, 2));
  push(scheduler, admitted(2, 2, 3));
  push(scheduler, admitted(1, 0, 4));
  CHECK_FALSE(scheduler.try_next().has_value());  // each may still grow: they wait for their delays
  push(scheduler, admitted(3, 3, 5));             // that makes a whole batch, so it need not wait
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{2, 5});
  CHECK_FALSE(scheduler.try_next().has_value());
  clock.advance(1000);
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{1, 3});
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{4});
  CHECK_FALSE(scheduler.try_next().has_value());
}

TEST_CASE("a batch never exceeds the maximum") {
  FakeClock clock;
  const ModelSpec spec = model(4, true);
  DynamicScheduler scheduler(spec, clock);
  push(scheduler, admitted(3, 2, 1));
  push(scheduler, admitted(2, 2, 2));
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{1});
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{2});
}

TEST_CASE("the queue is bounded: one more is refused at once and stays with the caller") {
  FakeClock clock;
  ModelSpec spec = model(4, true);
  spec.max_queue_size = 2;
  DynamicScheduler scheduler(spec, clock);
  push(scheduler, admitted(1));
  push(scheduler, admitted(1));
  auto third = admitted(1);
  const Status status = scheduler.try_submit(third);
  CHECK(status.code() == Code::kUnavailable);
  CHECK(status.message() == "Exceeds maximum queue size");
  CHECK(third != nullptr);
  CHECK(scheduler.try_next().value().requests.size() == 2);
  CHECK(scheduler.try_submit(third).ok());
}

TEST_CASE("a cancelled request comes out as dropped and does not run") {
  FakeClock clock;
  const ModelSpec spec = model(4, true);
  DynamicScheduler scheduler(spec, clock);
  push(scheduler, admitted(1, 2, 1));
  auto second = admitted(1, 2, 2);
  Request* cancelled = second.get();
  push(scheduler, std::move(second));
  push(scheduler, admitted(1, 2, 3));
  cancelled->cancelled = true;
  const Batch batch = scheduler.try_next().value();
  CHECK(tags(batch) == std::vector<std::uint64_t>{1, 3});
  REQUIRE(batch.dropped.size() == 1);
  CHECK(batch.dropped[0].request->tag == 2);
  CHECK(batch.dropped[0].status.code() == Code::kCancelled);
  CHECK(scheduler.num_waiting() == 0);
}

TEST_CASE("closing with drain runs what waits, refuses what comes, then ends") {
  FakeClock clock;
  const ModelSpec spec = model(4, true, 1'000'000);
  DynamicScheduler scheduler(spec, clock);
  push(scheduler, admitted(1, 2, 1));
  scheduler.close(true);
  auto late = admitted(1);
  CHECK(scheduler.try_submit(late).code() == Code::kUnavailable);
  CHECK(tags(scheduler.next(0).value()) == std::vector<std::uint64_t>{1});
  CHECK_FALSE(scheduler.next(0).has_value());
}

TEST_CASE("closing without drain drops what waits") {
  FakeClock clock;
  const ModelSpec spec = model(4, false);
  DynamicScheduler scheduler(spec, clock);
  for (std::uint64_t tag = 1; tag <= 6; ++tag) push(scheduler, admitted(1, 2, tag));
  scheduler.close(false);
  std::size_t dropped = 0;
  while (auto batch = scheduler.next(0)) {
    CHECK(batch->requests.empty());
    for (const auto& request : batch->dropped) CHECK(request.status.code() == Code::kUnavailable);
    dropped += batch->dropped.size();
  }
  CHECK(dropped == 6);
}

TEST_CASE("stress: several instances take every request exactly once, then all end") {
  const SteadyClock clock;
  ModelSpec spec = model(4, true, 20'000);
  spec.max_queue_size = 100;
  DynamicScheduler scheduler(spec, clock);
  constexpr std::uint64_t kPerProducer = 3000;
  std::mutex mutex;
  std::multiset<std::uint64_t> seen;
  {
    std::vector<std::jthread> instances;
    for (int i = 0; i < 3; ++i) {
      instances.emplace_back([&] {
        while (auto batch = scheduler.next(0)) {
          const std::lock_guard lock(mutex);
          for (const auto& request : batch->requests) seen.insert(request->tag);
        }
      });
    }
    {
      std::vector<std::jthread> producers;
      for (std::uint64_t p = 0; p < 2; ++p) {
        producers.emplace_back([&, p] {
          for (std::uint64_t i = 0; i < kPerProducer; ++i) {
            auto request = admitted(1, 2, p * kPerProducer + i);
            while (!scheduler.try_submit(request).ok()) std::this_thread::yield();
          }
        });
      }
    }
    scheduler.close(true);
  }
  CHECK(seen.size() == 2 * kPerProducer);
  CHECK(std::set<std::uint64_t>(seen.begin(), seen.end()).size() == 2 * kPerProducer);
  CHECK(scheduler.num_waiting() == 0);
}

TEST_CASE("a request that its deadline finds waiting is dropped, not run") {
  FakeClock clock;
  const ModelSpec spec = model(8, true, 1000);
  DynamicScheduler scheduler(spec, clock);
  auto late = admitted(1, 2, 1);
  late->deadline_ns = clock.now_ns() + 600;
  push(scheduler, std::move(late));
  auto patient = admitted(1, 2, 2);
  patient->deadline_ns = clock.now_ns() + 5000;
  push(scheduler, std::move(patient));
  CHECK_FALSE(scheduler.try_next().has_value());  // both wait for the delay
  clock.advance(600);
  const Batch expired = scheduler.try_next().value();
  CHECK(expired.requests.empty());
  REQUIRE(expired.dropped.size() == 1);
  CHECK(expired.dropped[0].request->tag == 1);
  CHECK(expired.dropped[0].status.code() == Code::kDeadlineExceeded);
  CHECK(expired.dropped[0].status.message() == "Deadline Exceeded");
  clock.advance(400);
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{2});
  CHECK(scheduler.num_waiting() == 0);
}

TEST_CASE("the parameter timeout counts from when the request is queued, beside its deadline") {
  FakeClock clock;
  const ModelSpec spec = model(8, false);
  DynamicScheduler scheduler(spec, clock);
  auto request = admitted(1, 2, 1);
  request->timeout_us = 2;
  request->deadline_ns = clock.now_ns() + 100'000;
  push(scheduler, std::move(request));
  request = admitted(1, 2, 2);
  request->timeout_us = 100;
  request->deadline_ns = clock.now_ns() + 2000;
  push(scheduler, std::move(request));
  request = admitted(1, 2, 3);
  request->timeout_us = ~std::uint64_t{0};  // past the end of time: none
  push(scheduler, std::move(request));
  request = admitted(1, 2, 4);
  request->timeout_us = 3;
  push(scheduler, std::move(request));
  clock.advance(2000);
  const Batch batch = scheduler.try_next().value();
  CHECK(tags(batch) == std::vector<std::uint64_t>{3});
  REQUIRE(batch.dropped.size() == 2);
  CHECK(batch.dropped[0].request->tag == 1);
  CHECK(batch.dropped[1].request->tag == 2);
  CHECK(tags(scheduler.try_next().value()) == std::vector<std::uint64_t>{4});
}

TEST_CASE("an instance that waits for company wakes at the first deadline") {
  const SteadyClock clock;
  const ModelSpec spec = model(8, true, 3'600'000'000'000);
  DynamicScheduler scheduler(spec, clock);
  auto request = admitted(1, 2, 1);
  request->deadline_ns = clock.now_ns() + 1'000'000;
  push(scheduler, std::move(request));
  const Batch batch = scheduler.next(0).value();  // would wait for an hour
  CHECK(batch.requests.empty());
  CHECK(batch.dropped.size() == 1);
}

TEST_CASE("an instance that is called away comes out empty once, waiting or not; nothing is taken by it") {
  const SteadyClock clock;
  const ModelSpec spec = model(8, true);
  DynamicScheduler scheduler(spec, clock, 2);
  std::jthread away([&] { CHECK(tags(scheduler.next(1).value()).empty()); });
  scheduler.call_away(1);
  away.join();
  scheduler.call_away(1);
  push(scheduler, admitted(1, 2, 7));
  CHECK(tags(scheduler.next(1).value()).empty());
  CHECK(tags(scheduler.next(0).value()) == std::vector<std::uint64_t>{7});
  push(scheduler, admitted(1, 2, 8));
  CHECK(tags(scheduler.next(1).value()) == std::vector<std::uint64_t>{8});
}
