#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <thread>

#include "base/clock.h"
#include "fakes/requests.h"
#include "fakes/seeds.h"
#include "schedule/dynamic_scheduler.h"
#include "schedule/response_order.h"

using namespace naiad;
using naiad::test::RecordingSink;

namespace {

using Tags = std::vector<std::uint64_t>;

ModelSpec model(std::vector<QueuePolicy> levels, std::uint32_t default_priority = 1) {
  ModelSpec spec = test::row_model(4);
  spec.batching.dynamic = true;
  spec.batching.preferred_num_rows = {1};
  spec.batching.levels = std::move(levels);
  spec.batching.default_priority = default_priority;
  spec.max_queue_size = 100;
  return spec;
}

std::unique_ptr<Request> request(std::uint64_t tag, std::uint64_t priority = 0,
                                 std::uint64_t timeout_us = 0) {
  auto made = std::make_unique<Request>();
  made->inputs.resize(1);
  made->inputs[0].dtype = DataType::kFp32;
  made->inputs[0].shape = Shape{1, 2};
  made->tag = tag;
  made->priority = priority;
  made->timeout_us = timeout_us;
  return made;
}

struct Queue {
  explicit Queue(ModelSpec given) : spec(std::move(given)), scheduler(spec, clock) {}

  Status submit(std::unique_ptr<Request> made) { return scheduler.try_submit(made); }
  void push(std::uint64_t tag, std::uint64_t priority = 0, std::uint64_t timeout_us = 0) {
    CHECK(submit(request(tag, priority, timeout_us)).ok());
  }
  // All that runs, in order; what is dropped on the way goes to `dropped`.
  Tags run() {
    Tags tags;
    while (auto batch = scheduler.try_next()) {
      for (const auto& each : batch->requests) tags.push_back(each->tag);
      for (auto& each : batch->dropped) dropped.push_back(std::move(each));
    }
    return tags;
  }

  FakeClock clock;
  const ModelSpec spec;
  DynamicScheduler scheduler;
  std::vector<DroppedRequest> dropped;
};

}  // namespace

TEST_CASE("priority 1 is first, none and what there is not are the default, one priority runs as it came") {
  Queue queue(model({{}, {}, {}}, 2));
  queue.push(1, 3);
  queue.push(2);
  queue.push(3, 2);
  queue.push(4, 1);
  queue.push(5, 99);
  queue.push(6, 1);
  CHECK(queue.run() == Tags{4, 6, 2, 3, 5, 1});
}

TEST_CASE("each priority has its own bound") {
  Queue queue(model({{false, 0, true, 1}, {false, 0, true, 2}}));
  queue.push(1, 1);
  CHECK(queue.submit(request(2, 1)).message() == "Exceeds maximum queue size");
  queue.push(3, 2);
  queue.push(4, 2);
  CHECK(queue.submit(request(5, 2)).code() == Code::kUnavailable);
  CHECK(queue.run() == Tags{1, 3, 4});
  queue.push(6, 1);
  CHECK(queue.run() == Tags{6});
}

TEST_CASE("time is over: refused, in Triton's words") {
  Queue queue(model({{false, 5'000, true, 0}}));
  queue.push(1);
  queue.push(2, 0, 2);     // shorter: counts
  queue.push(3, 0, 1000);  // longer: does not
  queue.clock.advance(2000);
  queue.push(4);
  CHECK(queue.run() == Tags{1, 3, 4});
  REQUIRE(queue.dropped.size() == 1);
  CHECK(queue.dropped[0].request->tag == 2);
  CHECK(queue.dropped[0].status.code() == Code::kUnavailable);
  CHECK(queue.dropped[0].status.message() == "Request timeout expired");
  queue.push(5);
  queue.clock.advance(5000);
  CHECK(queue.run().empty());
  CHECK(queue.dropped.size() == 2);
}

TEST_CASE("a request's own timeout counts where that is allowed, also when there is no other") {
  for (const bool allowed : {true, false}) {
    Queue queue(model({{false, 0, allowed, 0}}));
    queue.push(1, 0, 3);
    queue.clock.advance(3000);
    CHECK(queue.run() == (allowed ? Tags{} : Tags{1}));
    CHECK(queue.dropped.size() == (allowed ? 1 : 0));
  }
}

TEST_CASE("time is over: delayed behind all others of the priority, before those of the next") {
  Queue queue(model({{true, 2'000, true, 3}, {}}));
  queue.push(1, 2);
  queue.push(2, 1);
  queue.clock.advance(2000);
  queue.push(3, 1);
  queue.push(4, 1);
  CHECK(queue.submit(request(5, 1)).code() == Code::kUnavailable);  // what is delayed still waits
  CHECK(queue.run() == Tags{3, 4, 2, 1});
  CHECK(queue.dropped.empty());
}

TEST_CASE("while all instances are at work the sweep finds what is over") {
  Queue queue(model({{false, 5'000, true, 0}}));
  std::vector<DroppedRequest> dropped;
  CHECK_FALSE(queue.scheduler.sweep(dropped));
  queue.push(1);
  CHECK(queue.scheduler.sweep(dropped));
  CHECK(dropped.empty());
  queue.clock.advance(5000);
  CHECK(queue.scheduler.sweep(dropped));
  REQUIRE(dropped.size() == 1);
  CHECK(queue.scheduler.num_waiting() == 0);
  CHECK_FALSE(queue.scheduler.sweep(dropped));
}

TEST_CASE("answers go home in the order of the requests, failures and dropped ones in the middle") {
  RecordingSink sink;
  ResponseOrder order;
  std::vector<std::unique_ptr<Request>> requests;
  for (std::uint64_t tag = 0; tag < 4; ++tag) {
    requests.push_back(request(tag));
    requests.back()->sink = &sink;
    order.enter(*requests.back());
  }
  const auto answer = [&](std::size_t k, Status status = {}) {
    CompletionSink* const next = requests[k]->sink;
    next->complete(std::move(requests[k]), Response{std::move(status), {}, {}});
  };
  answer(2);
  answer(1, {Code::kInternal, "no"});
  CHECK(sink.size() == 0);
  answer(0);
  CHECK(sink.size() == 3);
  answer(3, {Code::kCancelled, "gone"});
  REQUIRE(sink.size() == 4);
  for (std::uint64_t tag = 0; tag < 4; ++tag) CHECK(sink.homes()[tag].request->tag == tag);
  CHECK(sink.homes()[1].response.status.code() == Code::kInternal);
}

TEST_CASE("of answers that come in parts each part waits its turn") {
  RecordingSink sink;
  ResponseOrder order;
  std::vector<std::unique_ptr<Request>> requests;
  for (std::uint64_t tag = 0; tag < 2; ++tag) {
    requests.push_back(request(tag));
    requests.back()->sink = &sink;
    order.enter(*requests.back());
  }
  const auto part = [&](std::size_t k, const std::string& mark) {
    requests[k]->sink->respond(*requests[k], Response{{}, {}, {{"mark", mark}}});
  };
  const auto last = [&](std::size_t k) {
    CompletionSink* const next = requests[k]->sink;
    next->complete(std::move(requests[k]), Response{});
  };
  part(1, "b1");
  part(0, "a1");
  CHECK(sink.responses().size() == 1);
  part(1, "b2");
  last(1);
  part(0, "a2");
  CHECK(sink.size() == 0);
  last(0);
  REQUIRE(sink.size() == 2);
  std::vector<std::string> marks;
  for (const Response& each : sink.responses())
    marks.push_back(std::get<std::string>(each.parameters[0].value));
  CHECK(marks == std::vector<std::string>{"a1", "a2", "b1", "b2"});
}

TEST_CASE("property: over several threads, whoever answers first") {
  RecordingSink sink;
  ResponseOrder order;
  constexpr std::uint64_t kCount = 4000;
  std::vector<std::unique_ptr<Request>> requests;
  for (std::uint64_t tag = 0; tag < kCount; ++tag) {
    requests.push_back(request(tag));
    requests.back()->sink = &sink;
    order.enter(*requests.back());
  }
  std::shuffle(requests.begin(), requests.end(), std::mt19937(20261127));
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t k = t; k < kCount; k += 4) {
          CompletionSink* const next = requests[k]->sink;
          next->complete(std::move(requests[k]), Response{});
        }
      });
    }
  }
  REQUIRE(sink.size() == kCount);
  for (std::uint64_t tag = 0; tag < kCount; ++tag) REQUIRE(sink.homes()[tag].request->tag == tag);
}

TEST_CASE("property: with priorities, timeouts, cancels and shapes each request ends once, in its order") {
  const test::Seeds all = test::seeds();
  for (std::uint32_t seed = all.first; seed < all.end; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](std::uint32_t low, std::uint32_t high) {
      return std::uniform_int_distribution<std::uint32_t>(low, high)(random);
    };
    std::vector<QueuePolicy> levels(pick(1, 3));
    for (QueuePolicy& level : levels)
      level = {pick(0, 1) == 1, pick(0, 3) * 1'000ULL, pick(0, 1) == 1, pick(0, 6)};
    ModelSpec spec = model(levels, pick(1, static_cast<std::uint32_t>(levels.size())));
    spec.batching.preferred_num_rows = {pick(1, 2), 4};
    spec.batching.max_queue_delay_ns = pick(0, 2) * 1'000ULL;
    Queue queue(spec);
    std::map<std::uint64_t, Request*> waiting;
    std::map<std::uint64_t, std::uint64_t> level_of;
    std::uint64_t next_tag = 0;
    std::uint64_t num_ended = 0;
    std::uint64_t num_taken = 0;
    const auto end = [&](std::uint64_t tag) {
      REQUIRE(waiting.erase(tag) == 1);
      ++num_ended;
    };
    for (int turn = 0; turn < 200; ++turn) {
      if (pick(0, 2) != 0) {
        auto made = request(++next_tag, pick(0, 4), pick(0, 1) == 1 ? pick(1, 4) : 0);
        made->inputs[0].shape = Shape{1, static_cast<std::int64_t>(pick(1, 2))};
        Request* const known = made.get();
        const std::uint64_t asked = made->priority;
        const std::uint64_t level =
            asked >= 1 && asked <= levels.size() ? asked : spec.batching.default_priority;
        if (queue.submit(std::move(made)).ok()) {
          waiting.emplace(next_tag, known);
          level_of[next_tag] = level;
          ++num_taken;
        }
      }
      if (!waiting.empty() && pick(0, 9) == 0) waiting.begin()->second->cancelled = true;
      queue.clock.advance(pick(0, 2) * 300);
      if (pick(0, 1) == 0) continue;
      auto batch = queue.scheduler.try_next();
      if (!batch) continue;
      std::uint32_t rows = 0;
      for (const auto& each : batch->requests) {
        REQUIRE_FALSE(each->is_cancelled());
        REQUIRE((each->expires_ns == 0 || queue.clock.now_ns() < each->expires_ns));
        REQUIRE(each->inputs[0].shape == batch->requests.front()->inputs[0].shape);
        rows += each->num_rows;
        end(each->tag);
      }
      REQUIRE(rows <= 4);
      // Of its shape nobody of a higher priority was passed over.
      for (std::size_t k = 1; k < batch->requests.size(); ++k) {
        REQUIRE(level_of[batch->requests[k - 1]->tag] <= level_of[batch->requests[k]->tag]);
      }
      for (const auto& each : batch->dropped) end(each.request->tag);
    }
    queue.scheduler.close(true);
    while (auto batch = queue.scheduler.next(0)) {
      for (const auto& each : batch->requests) end(each->tag);
      for (const auto& each : batch->dropped) end(each.request->tag);
    }
    REQUIRE(waiting.empty());
    REQUIRE(num_ended == num_taken);
  }
}
