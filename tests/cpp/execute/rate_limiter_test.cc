#include "execute/rate_limiter.h"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"

using namespace naiad;

namespace {

const RateResource kR{"R", RateResource::kCpu};
const RateResource kS{"S", RateResource::kGlobal};

RateNeeds needs(std::map<RateResource, std::size_t> resources, std::uint32_t priority = 1) {
  return {std::move(resources), priority};
}

}  // namespace

TEST_CASE("more than there is cannot be needed") {
  RateLimiter limiter({{kR, 3}, {{"T", RateResource::kEvery}, 1}});
  CHECK_THROWS_AS(limiter.join(needs({{kR, 4}})), Error);
  CHECK_THROWS_AS(limiter.join(needs({{{"T", 0}, 2}})), Error);
  CHECK_NOTHROW(limiter.join(needs({{kR, 3}, {kS, 100}})));
}

TEST_CASE("never more at a time than there is, and everybody comes to turn") {
  RateLimiter limiter({{kR, 2}});
  std::vector<std::unique_ptr<RateLimiter::Member>> members;
  for (std::size_t i = 0; i < 4; ++i) members.push_back(limiter.join(needs({{kR, i % 2 + 1}})));
  std::atomic<std::size_t> used{0};
  std::atomic<bool> exceeded{false};
  std::atomic<std::size_t> turns{0};
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 500; ++round) {
          const RateLimiter::Turn turn(members[i].get());
          if (used.fetch_add(i % 2 + 1) + i % 2 + 1 > 2) exceeded = true;
          ++turns;
          used.fetch_sub(i % 2 + 1);
        }
      });
    }
  }
  CHECK_FALSE(exceeded);
  CHECK(turns == 2000);
}

TEST_CASE("without a limit there is as much as the largest need takes") {
  RateLimiter limiter({});
  const auto small = limiter.join(needs({{kS, 1}}));
  const auto large = limiter.join(needs({{kS, 2}}));
  const auto second = limiter.join(needs({{kS, 1}}));
  std::optional<RateLimiter::Turn> first;
  first.emplace(small.get());
  const RateLimiter::Turn beside(second.get());  // there are two
  first.reset();
}

TEST_CASE("of those that wait the one that ran least for its priority is first") {
  RateLimiter limiter({{kR, 1}});
  const auto busy = limiter.join(needs({{kR, 1}}));
  const auto often = limiter.join(needs({{kR, 1}}, 1));
  const auto rarely = limiter.join(needs({{kR, 1}}, 100));
  {
    const RateLimiter::Turn turn(often.get());
  }
  {
    const RateLimiter::Turn turn(rarely.get());
  }
  std::optional<RateLimiter::Turn> held;
  held.emplace(busy.get());
  std::vector<int> order;
  std::atomic<int> asking{0};
  std::jthread second([&] {
    ++asking;
    const RateLimiter::Turn turn(rarely.get());
    order.push_back(2);
  });
  std::jthread first([&] {
    ++asking;
    const RateLimiter::Turn turn(often.get());
    order.push_back(1);
  });
  while (asking < 2) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until both wait
  held.reset();
  first.join();
  second.join();
  CHECK(order == std::vector{1, 2});
}

TEST_CASE("nothing is needed of no limiter") {
  const RateLimiter::Turn turn(nullptr);
}
