#include "io/in_flight.h"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "io/stream_kit.h"
#include "request/response_window.h"

namespace naiad {
namespace {

using test::run_rounds;

struct RecordingTaker final : InFlight::Taker {
  void on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) override {
    CHECK(request != nullptr);
    marks.push_back(mark);
    statuses.push_back(response.status.code());
    const std::function<void()> called = answer;  // it may change what is called next
    if (called) called();
  }
  void on_response(std::uint64_t mark, const Request& request, Response) override {
    responses.emplace_back(mark, &request);
  }
  std::vector<std::uint64_t> marks;
  std::vector<Code> statuses;
  std::vector<std::pair<std::uint64_t, const Request*>> responses;
  std::function<void()> answer;
};

struct InFlightKit {
  std::unique_ptr<Request> add(InFlight::Taker& taker, std::uint64_t mark) {
    auto request = std::make_unique<Request>();
    in_flight->add(*request, taker, mark);
    CHECK(request->sink == in_flight.get());
    return request;
  }
  static void complete(std::unique_ptr<Request> request, Code code = Code::kOk) {
    CompletionSink* const sink = request->sink;
    Response response;
    if (code != Code::kOk) response.status = Status(code, "test");
    sink->complete(std::move(request), std::move(response));
  }

  FakeClock clock;
  EventLoop loop{clock};
  std::unique_ptr<InFlight> in_flight = std::make_unique<InFlight>(loop);
};

TEST_CASE("in flight: responses come before the answer, with the request that is still out") {
  InFlightKit kit;
  RecordingTaker a;
  auto request = kit.add(a, 7);
  request->window = std::make_shared<ResponseWindow>();
  const Request* const out = request.get();
  for (int i = 0; i < 2; ++i) {
    request->window->sent(0);
    kit.in_flight->respond(*request, {});
  }
  kit.complete(std::move(request));
  run_rounds(kit.loop);
  using Seen = std::pair<std::uint64_t, const Request*>;
  CHECK(a.responses == std::vector<Seen>{{7, out}, {7, out}});
  CHECK(a.marks == std::vector<std::uint64_t>{7});
  CHECK(kit.in_flight->size() == 0);

  auto gone = kit.add(a, 8);
  gone->window = std::make_shared<ResponseWindow>();
  gone->window->sent(0);
  kit.in_flight->abandon(a);
  kit.in_flight->respond(*gone, {});
  kit.complete(std::move(gone));
  run_rounds(kit.loop);
  CHECK(a.responses.size() == 2);
}

TEST_CASE("in flight: answers reach their takers, in the order of completion") {
  InFlightKit kit;
  RecordingTaker a;
  RecordingTaker b;
  auto first = kit.add(a, 1);
  auto second = kit.add(b, 2);
  auto third = kit.add(a, 3);
  CHECK(kit.in_flight->size() == 3);
  kit.complete(std::move(third), Code::kUnavailable);
  kit.complete(std::move(first));
  kit.complete(std::move(second));
  CHECK(a.marks.empty());
  run_rounds(kit.loop);
  CHECK(a.marks == std::vector<std::uint64_t>{3, 1});
  CHECK(a.statuses == std::vector<Code>{Code::kUnavailable, Code::kOk});
  CHECK(b.marks == std::vector<std::uint64_t>{2});
  CHECK(kit.in_flight->size() == 0);
}

TEST_CASE("in flight: a request that was refused leaves its place, whose next tag is another") {
  InFlightKit kit;
  RecordingTaker taker;
  auto refused = kit.add(taker, 1);
  const std::uint64_t tag = refused->tag;
  kit.in_flight->remove(*refused);
  kit.in_flight->remove(*refused);
  CHECK(kit.in_flight->size() == 0);
  auto next = kit.add(taker, 2);
  CHECK(next->tag != tag);
  CHECK(static_cast<std::uint32_t>(next->tag) == static_cast<std::uint32_t>(tag));
  kit.in_flight->remove(*refused);  // an old tag
  CHECK(kit.in_flight->size() == 1);
  kit.complete(std::move(next));
  run_rounds(kit.loop);
  CHECK(taker.marks == std::vector<std::uint64_t>{2});
}

TEST_CASE("in flight: what is given up is answered at once; its own answer is dropped") {
  InFlightKit kit;
  RecordingTaker a;
  RecordingTaker b;
  auto first = kit.add(a, 1);
  auto second = kit.add(b, 2);
  auto third = kit.add(a, 3);
  auto late = std::make_unique<Request>();
  // The first answer takes the other request of its taker back, and adds one.
  a.answer = [&] {
    a.answer = nullptr;
    kit.in_flight->abandon(a);
    kit.in_flight->add(*late, b, 4);
  };
  kit.in_flight->give_up(Status(Code::kUnavailable, "stopping"));
  CHECK(a.marks == std::vector<std::uint64_t>{1});
  CHECK(a.statuses == std::vector<Code>{Code::kUnavailable});
  CHECK(b.marks == std::vector<std::uint64_t>{2, 4});
  CHECK((first->cancelled && second->cancelled && third->cancelled && late->cancelled));
  CHECK(kit.in_flight->size() == 4);
  kit.complete(std::move(first));
  kit.complete(std::move(second));
  kit.complete(std::move(third));
  kit.complete(std::move(late));
  run_rounds(kit.loop);
  CHECK(a.marks.size() == 1);
  CHECK(b.marks.size() == 2);
  CHECK(kit.in_flight->size() == 0);
}

TEST_CASE("in flight: abandoned requests are cancelled, their answers dropped, their places come back") {
  InFlightKit kit;
  RecordingTaker stays;
  auto gone = std::make_unique<RecordingTaker>();
  std::vector<std::unique_ptr<Request>> of_gone;
  for (std::uint64_t i = 0; i < 5; ++i) of_gone.push_back(kit.add(*gone, i));
  auto other = kit.add(stays, 9);
  // One of them is on its way home already.
  kit.complete(std::move(of_gone.back()));
  of_gone.pop_back();
  kit.in_flight->abandon(*gone);
  kit.in_flight->abandon(*gone);
  gone.reset();
  for (auto& request : of_gone) {
    CHECK(request->cancelled);
    kit.complete(std::move(request), Code::kCancelled);
  }
  CHECK_FALSE(other->cancelled);
  CHECK(kit.in_flight->size() == 6);
  run_rounds(kit.loop);
  CHECK(kit.in_flight->size() == 1);
  kit.complete(std::move(other));
  run_rounds(kit.loop);
  CHECK(stays.marks == std::vector<std::uint64_t>{9});
}

TEST_CASE("in flight: one request of several is abandoned by its mark") {
  InFlightKit kit;
  RecordingTaker taker;
  std::vector<std::unique_ptr<Request>> requests;
  for (std::uint64_t i = 0; i < 3; ++i) requests.push_back(kit.add(taker, i));
  SUBCASE("the first") {
    kit.in_flight->abandon(taker, 0);
  }
  SUBCASE("the middle one") {
    kit.in_flight->abandon(taker, 1);
  }
  SUBCASE("the last") {
    kit.in_flight->abandon(taker, 2);
  }
  std::vector<std::uint64_t> expected;
  for (std::uint64_t i = 0; i < 3; ++i) {
    if (!requests[i]->cancelled) expected.push_back(i);
    kit.complete(std::move(requests[i]));
  }
  CHECK(expected.size() == 2);
  run_rounds(kit.loop);
  CHECK(taker.marks == expected);
  CHECK(kit.in_flight->size() == 0);
}

TEST_CASE(
    "in flight: a taker that goes while an earlier answer is told gets none of those that came with it") {
  InFlightKit kit;
  RecordingTaker first;
  auto second = std::make_unique<RecordingTaker>();
  auto a = kit.add(first, 1);
  auto b = kit.add(*second, 2);
  auto c = kit.add(first, 3);
  auto d = kit.add(first, 4);
  std::unique_ptr<Request> more;
  first.answer = [&] {
    first.answer = nullptr;
    kit.in_flight->abandon(*second);
    second.reset();
    kit.in_flight->abandon(first, 3);
    more = kit.add(first, 5);
  };
  kit.complete(std::move(a));
  kit.complete(std::move(b));
  kit.complete(std::move(c));
  kit.complete(std::move(d));
  run_rounds(kit.loop);
  CHECK(first.marks == std::vector<std::uint64_t>{1, 4});
  kit.complete(std::move(more));
  run_rounds(kit.loop);
  CHECK(first.marks == std::vector<std::uint64_t>{1, 4, 5});
}

TEST_CASE("in flight: its end cancels what is out and waits for it") {
  InFlightKit kit;
  RecordingTaker taker;
  std::vector<std::unique_ptr<Request>> out;
  for (std::uint64_t i = 0; i < 100; ++i) out.push_back(kit.add(taker, i));
  kit.complete(std::move(out.back()));
  out.pop_back();
  std::jthread other([&] {
    // A model: it looks at the flag before it computes.
    for (auto& request : out) {
      while (!request->cancelled.load(std::memory_order_relaxed)) std::this_thread::yield();
      kit.complete(std::move(request), Code::kCancelled);
    }
  });
  kit.in_flight.reset();
  CHECK(taker.marks.empty());
  run_rounds(kit.loop);
  CHECK(taker.marks.empty());
}

// Takers come and go, threads answer in any order; each answer is told once, to whom it belongs.
TEST_CASE("in flight: many threads, many takers") {
  constexpr int kRequests = 20'000;
  constexpr std::size_t kThreads = 3;
  const SteadyClock clock;
  EventLoop loop(clock);
  auto in_flight = std::make_unique<InFlight>(loop);
  std::mutex mutex;
  std::vector<std::unique_ptr<Request>> submitted;
  bool done = false;

  struct CheckingTaker final : InFlight::Taker {
    void on_response(std::uint64_t, const Request&, Response) override { CHECK(false); }
    void on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response) override {
      CHECK(expected.erase(mark) == 1);
      CHECK(request->timeout_us == mark);
    }
    std::map<std::uint64_t, bool> expected;
  };
  std::vector<std::unique_ptr<CheckingTaker>> takers(8);
  for (auto& taker : takers) taker = std::make_unique<CheckingTaker>();
  std::mt19937 random(5);
  int added = 0;
  std::function<void()> step = [&] {
    for (int i = 0; i < 20 && added < kRequests; ++i, ++added) {
      auto& taker = takers[random() % takers.size()];
      const auto mark = static_cast<std::uint64_t>(added);
      if (random() % 10 == 0) {
        in_flight->abandon(*taker);
        taker = std::make_unique<CheckingTaker>();
      }
      if (random() % 10 == 0 && !taker->expected.empty()) {
        const std::uint64_t dropped = taker->expected.begin()->first;
        in_flight->abandon(*taker, dropped);
        taker->expected.erase(dropped);
      }
      auto request = std::make_unique<Request>();
      request->timeout_us = mark;
      in_flight->add(*request, *taker, mark);
      taker->expected[mark] = true;
      const std::lock_guard lock(mutex);
      submitted.push_back(std::move(request));
    }
    if (added == kRequests && in_flight->size() == 0) {
      loop.stop();
    } else {
      loop.post(step);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 own_random(static_cast<unsigned>(t));
      while (true) {
        std::unique_ptr<Request> request;
        {
          const std::lock_guard lock(mutex);
          if (submitted.empty() && done) return;
          if (!submitted.empty()) {
            std::swap(submitted[own_random() % submitted.size()], submitted.back());
            request = std::move(submitted.back());
            submitted.pop_back();
          }
        }
        if (request == nullptr) {
          std::this_thread::yield();
        } else {
          InFlightKit::complete(std::move(request));
        }
      }
    });
  }
  loop.post(step);
  loop.run();
  for (const auto& taker : takers) CHECK(taker->expected.empty());
  {
    const std::lock_guard lock(mutex);
    done = true;
  }
  threads.clear();
}

}  // namespace
}  // namespace naiad
