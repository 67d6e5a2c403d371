#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "fakes/seeds.h"
#include "schedule/sequence_fixture.h"
#include "schedule/sequence_scheduler.h"

using namespace naiad;
using namespace naiad::test;
using Fixture = SequenceFixture;

TEST_CASE("property: whatever comes in whatever order, each sequence runs whole, in order, and alone") {
  const Seeds all = seeds();
  for (std::uint32_t seed = all.first; seed < all.end; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](std::uint32_t low, std::uint32_t high) {
      return std::uniform_int_distribution<std::uint32_t>(low, high)(random);
    };
    const bool direct = pick(0, 1) == 1;
    const std::size_t num_instances = pick(1, 3);
    Fixture f(pick(1, 4), direct, num_instances, pick(1, 5), [&](SequenceSpec& spec) {
      spec.max_queue_delay_ns = pick(0, 2) * kMs;
      spec.min_slot_utilization = pick(0, 1) == 1 ? 0.5F : 0.0F;
      spec.max_idle_ns = 1'000'000 * kMs;
    });
    std::map<std::uint64_t, std::uint64_t> next_tag;          // by id: what it sends next
    std::map<std::uint64_t, std::vector<std::uint64_t>> ran;  // by id
    std::map<std::uint64_t, std::size_t> home;                // by id: the instance
    std::vector<std::vector<std::unique_ptr<Request>>> running(num_instances);
    std::set<std::uint64_t> in_flight;
    const std::uint64_t num_ids = pick(1, 12);
    const std::uint64_t length = pick(1, 5);
    std::size_t num_left = num_ids * length;
    for (int turn = 0; turn < 5000 && (num_left > 0 || f.scheduler->num_waiting() > 0 || !in_flight.empty());
         ++turn) {
      const std::uint64_t id = pick(1, static_cast<std::uint32_t>(num_ids));
      if (pick(0, 1) == 1 && next_tag[id] < length) {
        const std::uint64_t tag = next_tag[id]++;
        f.push(id, id * 100 + tag, tag == 0, tag + 1 == length);
        --num_left;
      }
      f.clock.advance(pick(0, 1) * kMs);
      const std::size_t instance = pick(0, static_cast<std::uint32_t>(num_instances - 1));
      if (running[instance].empty()) {
        f.form(instance);
        for (const auto& request : f.running) {
          if (request->is_filler) continue;
          REQUIRE(in_flight.insert(request->sequence_id).second);
          ran[request->sequence_id].push_back(request->tag);
          const auto at = home.emplace(request->sequence_id, instance).first;
          REQUIRE(at->second == instance);
        }
        running[instance] = std::move(f.running);
        f.running.clear();
      } else {
        for (const auto& request : running[instance]) in_flight.erase(request->sequence_id);
        f.running = std::move(running[instance]);
        f.finish();
        running[instance].clear();
      }
    }
    REQUIRE(f.scheduler->num_waiting() == 0);
    REQUIRE(ran.size() == num_ids);
    for (const auto& [id, tags] : ran) {
      REQUIRE(tags.size() == length);
      for (std::uint64_t i = 0; i < length; ++i) REQUIRE(tags[i] == id * 100 + i);
    }
    REQUIRE(f.scheduler->num_sequences() == 0);
    REQUIRE(f.dropped.empty());
  }
}

TEST_CASE("threads: sequences of many clients over two instances, each answer in its place") {
  const SteadyClock clock;
  Fixture f(4, false, 2, 4);
  SequenceScheduler scheduler(*f.shared, clock, 2);
  std::vector<std::jthread> instances;
  std::atomic<std::uint64_t> sum{0};
  for (std::size_t i = 0; i < 2; ++i) {
    instances.emplace_back([&, i] {
      while (auto batch = scheduler.next(i)) {
        for (auto& request : batch->requests) {
          sum += request->tag;
          CompletionSink* const next = request->sink;
          next->complete(std::move(request), Response{});
        }
      }
    });
  }
  std::uint64_t expected = 0;
  {
    std::vector<std::vector<std::unique_ptr<Request>>> requests(4);
    std::vector<std::jthread> clients;
    for (std::uint64_t c = 0; c < 4; ++c) {
      for (std::uint64_t s = 0; s < 50; ++s) {
        for (std::uint64_t i = 0; i < 5; ++i) {
          requests[c].push_back(f.request(1 + c * 50 + s, i + 1, i == 0, i == 4));
          expected += i + 1;
        }
      }
      clients.emplace_back([&, c] {
        for (auto& request : requests[c]) {
          while (!scheduler.try_submit(request).ok()) std::this_thread::yield();
        }
      });
    }
  }
  scheduler.close(true);
  instances.clear();
  CHECK(sum == expected);
  CHECK(f.sink.size() == 1000);
  CHECK(scheduler.num_sequences() == 0);
}
