#include "schedule/batch_policy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <random>

using naiad::BatchDecision;
using naiad::BatchRules;
using naiad::decide_batch;
using naiad::WaitingRequest;

namespace {

std::vector<WaitingRequest> ones(std::size_t count, std::uint64_t queued_ns = 1000) {
  return std::vector<WaitingRequest>(count, WaitingRequest{1, queued_ns});
}

// The documented rule again, slowly and from the text: tries every prefix in turn.
BatchDecision reference(const BatchRules& rules, const std::vector<WaitingRequest>& waiting, bool can_grow,
                        std::uint64_t now_ns) {
  if (waiting.empty()) return {};
  const auto rows_of = [&](std::size_t count) {
    std::uint32_t rows = 0;
    for (std::size_t i = 0; i < count; ++i) rows += waiting[i].num_rows;
    return rows;
  };
  for (std::size_t count = waiting.size(); count > 0; --count) {
    for (std::uint32_t preferred : rules.preferred_rows) {
      if (rows_of(count) == preferred) return {count, {}};
    }
  }
  const std::uint32_t largest = *std::max_element(rules.preferred_rows.begin(), rules.preferred_rows.end());
  if (!can_grow || rows_of(waiting.size()) >= largest) return {waiting.size(), {}};
  if (rules.max_delay_ns == 0 || now_ns - waiting[0].queued_ns >= rules.max_delay_ns)
    return {waiting.size(), {}};
  return {0, waiting[0].queued_ns + rules.max_delay_ns};
}

}  // namespace

TEST_CASE("nothing waits: wait for the next arrival") {
  const BatchDecision decision = decide_batch({8, {8}, 100}, {}, true, 5000);
  CHECK(decision.take == 0);
  CHECK_FALSE(decision.wait_until_ns.has_value());
}

TEST_CASE("without a delay whatever waits is taken") {
  CHECK(decide_batch({8, {8}, 0}, ones(3), true, 1000).take == 3);
}

TEST_CASE("with a delay a batch waits for the oldest one's time") {
  const BatchDecision decision = decide_batch({8, {8}, 500}, ones(3), true, 1200);
  CHECK(decision.take == 0);
  CHECK(decision.wait_until_ns == 1500);
  CHECK(decide_batch({8, {8}, 500}, ones(3), true, 1500).take == 3);
}

TEST_CASE("a preferred size goes at once, the largest that is hit") {
  CHECK(decide_batch({16, {4, 8}, 500}, ones(4), true, 1000).take == 4);
  CHECK(decide_batch({16, {4, 8}, 500}, ones(11), true, 1000).take == 8);
}

TEST_CASE("a late batch keeps to the preferred size: never one row more") {
  CHECK(decide_batch({16, {4, 8}, 500}, ones(9), true, 9000).take == 8);
  CHECK(decide_batch({8, {4}, 500}, ones(5), true, 9000).take == 4);
}

TEST_CASE("a batch that cannot grow does not wait") {
  CHECK(decide_batch({8, {8}, 500}, ones(3), false, 1000).take == 3);
}

TEST_CASE("requests of several rows that jump over every preferred size are taken together") {
  const std::vector<WaitingRequest> waiting = {{3, 1000}, {3, 1000}};
  CHECK(decide_batch({8, {4}, 500}, waiting, true, 1000).take == 2);
}

TEST_CASE("property: the policy agrees with the slow reading of its rule, and never delays too long") {
  std::mt19937 random(20261124);
  const auto pick = [&](std::uint32_t low, std::uint32_t high) {
    return std::uniform_int_distribution<std::uint32_t>(low, high)(random);
  };
  for (int round = 0; round < 50000; ++round) {
    BatchRules rules;
    rules.max_rows = pick(1, 16);
    for (std::uint32_t i = pick(1, 3); i > 0; --i) rules.preferred_rows.push_back(pick(1, rules.max_rows));
    std::ranges::sort(rules.preferred_rows);
    rules.max_delay_ns = pick(0, 3) * 100;
    std::vector<WaitingRequest> waiting;
    std::uint32_t rows = 0;
    std::uint64_t queued_ns = 1000;
    for (std::uint32_t i = pick(0, 8); i > 0; --i) {
      const std::uint32_t more = pick(1, rules.max_rows);
      if (rows + more > rules.max_rows) break;
      rows += more;
      waiting.push_back({more, queued_ns});
      queued_ns += pick(0, 100);
    }
    const bool can_grow = rows < rules.max_rows && pick(0, 1) == 1;
    const std::uint64_t now_ns = queued_ns + pick(0, 300);

    const BatchDecision got = decide_batch(rules, waiting, can_grow, now_ns);
    const BatchDecision expected = reference(rules, waiting, can_grow, now_ns);
    CHECK(got.take == expected.take);
    CHECK(got.wait_until_ns == expected.wait_until_ns);
    if (!waiting.empty() && got.take == 0) CHECK(got.wait_until_ns.value() > now_ns);
  }
}

TEST_CASE("property: a simulated queue is emptied in order, nobody waits past the delay") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const BatchRules rules{8, {4, 8}, static_cast<std::uint64_t>(random() % 5) * 10};
    std::deque<WaitingRequest> queue;
    std::uint64_t now_ns = 1000;
    std::size_t left_to_arrive = 60;
    while (left_to_arrive > 0 || !queue.empty()) {
      if (left_to_arrive > 0 && random() % 2 == 0) {
        queue.push_back({static_cast<std::uint32_t>(random() % 3 + 1), now_ns});
        --left_to_arrive;
      }
      std::vector<WaitingRequest> head;
      std::uint32_t rows = 0;
      bool can_grow = true;
      for (const WaitingRequest& request : queue) {
        if (rows + request.num_rows > rules.max_rows) {
          can_grow = false;
          break;
        }
        rows += request.num_rows;
        head.push_back(request);
      }
      const BatchDecision decision = decide_batch(rules, head, can_grow, now_ns);
      REQUIRE(decision.take <= head.size());
      // The instance is always idle here, so a request leaves no later than its delay plus one tick.
      if (decision.take > 0) REQUIRE(now_ns - queue.front().queued_ns <= rules.max_delay_ns + 60);
      for (std::size_t i = 0; i < decision.take; ++i) queue.pop_front();
      if (decision.take == 0) now_ns += 1 + random() % 5;
    }
  }
}
