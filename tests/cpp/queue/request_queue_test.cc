#include "queue/request_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <thread>
#include <vector>

using namespace naiad;

namespace {

std::unique_ptr<Request> tagged(std::uint64_t tag) {
  auto request = std::make_unique<Request>();
  request->tag = tag;
  return request;
}

}  // namespace

TEST_CASE("a queue takes as many as it may, whatever has been popped and not forgotten") {
  RequestQueue queue(2);
  for (std::uint64_t tag = 0; tag < 2; ++tag) {
    auto request = tagged(tag);
    CHECK(queue.try_push(request).ok());
    CHECK(request == nullptr);
  }
  auto third = tagged(2);
  CHECK(queue.try_push(third).code() == Code::kUnavailable);
  CHECK(queue.try_pop()->tag == 0);
  CHECK_FALSE(queue.try_push(third).ok());
  CHECK(third != nullptr);
  queue.forget(1);
  CHECK(queue.try_push(third).ok());
  CHECK(queue.num_waiting() == 2);
}

TEST_CASE("without a bound, and with one above the ring, more wait than the ring holds, in order") {
  constexpr std::size_t kMany = 5 * RequestQueue::kMaxRing;
  for (const std::size_t bound : {RequestQueue::kUnbounded, kMany}) {
    CAPTURE(bound);
    RequestQueue queue(bound);
    for (std::uint64_t tag = 0; tag < kMany; ++tag) {
      auto request = tagged(tag);
      REQUIRE(queue.try_push(request).ok());
    }
    auto more = tagged(kMany);
    CHECK(queue.try_push(more).ok() == (bound == RequestQueue::kUnbounded));
    for (std::uint64_t tag = 0; tag < kMany; ++tag) {
      const auto request = queue.try_pop();
      REQUIRE(request != nullptr);
      REQUIRE(request->tag == tag);
    }
  }
}

TEST_CASE("what each of several threads pushes comes out in its order, also past the ring") {
  constexpr std::uint64_t kEach = 60'000;
  constexpr std::size_t kThreads = 3;
  RequestQueue queue(RequestQueue::kUnbounded);
  std::vector<std::jthread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&queue, thread] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        auto request = tagged(thread * kEach + i);
        if (!queue.try_push(request).ok()) return;
      }
    });
  }
  std::array<std::uint64_t, kThreads> next{};
  for (std::size_t count = 0; count < kThreads * kEach;) {
    const auto request = queue.try_pop();
    if (!request) {
      std::this_thread::yield();
      continue;
    }
    ++count;
    const std::uint64_t thread = request->tag / kEach;
    REQUIRE(request->tag % kEach == next[thread]++);
    if (count % 4096 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));  // let it run over
  }
  CHECK(queue.num_waiting() == kThreads * kEach);
}

TEST_CASE("a closed queue takes nothing") {
  RequestQueue queue(RequestQueue::kUnbounded);
  queue.close();
  auto request = tagged(1);
  CHECK(queue.try_push(request).code() == Code::kUnavailable);
  CHECK(queue.num_waiting() == 0);
}
