#include "schedule/sequence_scheduler.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>

#include "schedule/sequence_fixture.h"

using namespace naiad;
using namespace naiad::test;
using Fixture = SequenceFixture;

TEST_CASE("direct: the rows of a batch are the slots of the sequences, fillers are not READY") {
  Fixture f(4, true);
  f.push(1, 11, true);
  f.push(2, 21, true);
  f.push(3, 31, true);
  CHECK(f.step() == Tags{11, 21, 31});
  f.push(3, 32);
  f.push(1, 12);
  REQUIRE(f.form() == Tags{12, 0, 32});
  CHECK(f.control(0, 2) == 1);
  CHECK(f.control(1, 2) == 0);
  CHECK(f.control(1, 0) == 0);
  CHECK(values_of(f.running[1]->inputs[0]) == std::vector<float>{0, 0});
  CHECK(f.running[1]->inputs[0].shape == f.running[0]->inputs[0].shape);
  f.finish();
  f.push(2, 22, false, true);
  CHECK(f.step() == Tags{0, 22});
  CHECK(f.scheduler->num_sequences() == 2);
  CHECK(f.sink.size() == 6);  // no filler came home
}

TEST_CASE("controls tell where in its sequence a request is, and of which one it is") {
  Fixture f(4, true);
  f.push(5, 1, true);
  REQUIRE(f.form() == Tags{1});
  CHECK(f.control(0, 0) == 1);
  CHECK(f.control(0, 1) == 0);
  std::uint64_t id = 0;
  std::memcpy(&id, f.running[0]->inputs[4].data, sizeof id);
  CHECK(id == 5);
  f.finish();
  f.push(5, 2, false, true);
  REQUIRE(f.form() == Tags{2});
  CHECK(f.control(0, 0) == 0);
  CHECK(f.control(0, 1) == 1);
  f.finish();
}

TEST_CASE("one request of a sequence runs at a time") {
  for (const bool direct : {true, false}) {
    Fixture f(4, direct);
    f.push(1, 1, true);
    f.push(1, 2);
    f.push(1, 3, false, true);
    REQUIRE(f.form() == Tags{1});
    auto first = std::move(f.running);
    CHECK(f.form().empty());
    f.running = std::move(first);
    f.finish();
    CHECK(f.step() == Tags{2});
    CHECK(f.step() == Tags{3});
    CHECK(f.scheduler->num_sequences() == 0);
  }
}

TEST_CASE("what is refused, and in whose words") {
  Fixture f(4, true);
  CHECK(f.submit(f.request(0, 1, true)).message() ==
        "inference request to model 'm' must specify a non-zero or non-empty correlation ID");
  CHECK(
      f.submit(f.request(5, 1)).message() ==
      "inference request for sequence 5 to model 'm' must specify the START flag on the first request of the "
      "sequence");
  f.push(5, 1, true, true);
  CHECK(f.submit(f.request(5, 2)).code() == Code::kInvalidArgument);  // it has ended, though not yet run
  CHECK(f.step() == Tags{1});
  auto named = f.request(0, 3, true);
  named->sequence_name = "five";
  CHECK(f.submit(std::move(named)).code() == Code::kInvalidArgument);  // CORRID is a UINT64
  auto two = row_request(2, 2);
  two->sequence_id = 6;
  two->sequence_start = true;
  two->sink = &f.sink;
  f.admitted(*two);
  two->num_rows = 2;
  CHECK(f.submit(std::move(two)).message() ==
        "inference request to model 'm' must specify batch-size 1 due to requirements of sequence batcher");
}

TEST_CASE("more sequences than slots wait in the backlog, in order, with all their requests") {
  for (const bool direct : {true, false}) {
    Fixture f(2, direct, 1, 2);
    f.push(1, 11, true);
    f.push(2, 21, true);
    f.push(3, 31, true);
    f.push(3, 32, false, true);
    f.push(4, 41, true, true);
    CHECK(f.step() == Tags{11, 21});
    CHECK(f.form().empty());
    f.push(2, 22, false, true);
    CHECK(f.step() == (direct ? Tags{0, 22} : Tags{22}));
    CHECK(f.step() == (direct ? Tags{0, 31} : Tags{31}));
    CHECK(f.step() == (direct ? Tags{0, 32} : Tags{32}));
    CHECK(f.step() == (direct ? Tags{0, 41} : Tags{41}));
    CHECK(f.scheduler->num_sequences() == 1);
  }
}

TEST_CASE("a second START begins another sequence, behind what the first one still has to run") {
  Fixture f(4, true);
  f.push(1, 1, true);
  f.push(1, 2);
  f.push(1, 3, true);
  f.push(1, 4, false, true);
  for (std::uint64_t tag = 1; tag <= 4; ++tag) CHECK(f.step().back() == tag);
  CHECK(f.scheduler->num_sequences() == 0);
  f.push(1, 5, true);
  CHECK(f.step() == Tags{5});
  f.push(1, 6, true);  // nothing is left of the old one: its slot is free at once
  CHECK(f.step() == Tags{6});
  CHECK(f.scheduler->num_sequences() == 1);
}

TEST_CASE("a sequence without requests ends after its time, and no sooner") {
  for (const bool direct : {true, false}) {
    Fixture f(1, direct, 1, 1);
    f.push(1, 11, true);
    f.push(2, 21, true, true);
    CHECK(f.step() == Tags{11});
    f.clock.advance(999 * kMs);
    CHECK(f.form().empty());
    f.clock.advance(1 * kMs);
    CHECK(f.step() == Tags{21});
    CHECK(f.submit(f.request(1, 12)).code() == Code::kInvalidArgument);
    CHECK(f.scheduler->num_sequences() == 0);
  }
}

TEST_CASE("a sequence that the clock has ended is not gone on with, whoever looks first") {
  Fixture f(1, true);
  f.push(1, 11, true);
  CHECK(f.step() == Tags{11});
  f.clock.advance(1000 * kMs);
  CHECK(f.submit(f.request(1, 12)).code() == Code::kInvalidArgument);
  f.push(1, 13, true);
  CHECK(f.step() == Tags{13});
}

TEST_CASE("cancelled while it waits: the sequence ends, its slot is free") {
  Fixture f(1, true);
  auto request = f.request(1, 11, true);
  request->cancelled = true;
  REQUIRE(f.submit(std::move(request)).ok());
  f.push(1, 12);
  f.push(2, 21, true, true);
  CHECK(f.step() == Tags{21});
  REQUIRE(f.dropped.size() == 2);
  CHECK(f.dropped[0].status.code() == Code::kCancelled);
  CHECK(f.dropped[1].request->tag == 12);
  CHECK(f.scheduler->num_waiting() == 0);
}

TEST_CASE("cancelled while it runs: what waits behind it is dropped") {
  Fixture f(1, true);
  f.push(1, 11, true);
  f.push(1, 12);
  REQUIRE(f.form() == Tags{11});
  f.running[0]->cancelled = true;
  f.finish();
  CHECK(f.form().empty());
  REQUIRE(f.dropped.size() == 1);
  CHECK(f.dropped[0].request->tag == 12);
  CHECK(f.scheduler->num_sequences() == 0);
}

TEST_CASE("a request that comes too late takes its sequence with it, in a slot and in the backlog") {
  Fixture f(1, true);
  f.push(1, 11, true);
  auto late = f.request(2, 21, true);
  late->timeout_us = 5000;
  REQUIRE(f.submit(std::move(late)).ok());
  f.push(2, 22);
  CHECK(f.step() == Tags{11});
  f.clock.advance(5 * kMs);
  CHECK(f.form().empty());
  REQUIRE(f.dropped.size() == 2);
  CHECK(f.dropped[0].status.code() == Code::kUnavailable);
  CHECK(f.dropped[0].status.message() == "timeout of the corresponding sequence has been expired");
  CHECK(f.scheduler->num_sequences() == 1);
}

TEST_CASE("direct: a batch waits for enough slots, but not longer than its delay") {
  Fixture f(4, true, 1, 0, [](SequenceSpec& spec) {
    spec.min_slot_utilization = 0.5F;
    spec.max_queue_delay_ns = 10 * kMs;
  });
  f.push(1, 11, true);
  CHECK(f.form().empty());
  f.push(2, 21, true);
  CHECK(f.step() == Tags{11, 21});
  f.push(1, 12);
  CHECK(f.form().empty());
  f.clock.advance(10 * kMs);
  CHECK(f.step() == Tags{12});
}

TEST_CASE("oldest: a batch waits for its delay, unless every candidate is there") {
  Fixture f(4, false, 1, 2, [](SequenceSpec& spec) { spec.max_queue_delay_ns = 10 * kMs; });
  f.push(1, 11, true);
  CHECK(f.form().empty());
  f.push(2, 21, true);
  CHECK(f.step() == Tags{11, 21});
  f.push(2, 22);
  f.clock.advance(10 * kMs);
  CHECK(f.step() == Tags{22});
}

TEST_CASE("another shape comes with another batch") {
  Fixture direct(2, true);
  direct.push(1, 11, true, false, 2);
  direct.push(2, 21, true, false, 3);
  CHECK(direct.step() == Tags{11, 0});
  CHECK(direct.step() == Tags{0, 21});
  Fixture oldest(2, false, 1, 2);
  oldest.push(1, 11, true, false, 2);
  oldest.push(2, 21, true, false, 3);
  CHECK(oldest.step() == Tags{11});
  CHECK(oldest.step() == Tags{21});
}

TEST_CASE("sequences are spread over the instances and stay there") {
  Fixture f(2, true, 2);
  for (std::uint64_t id = 1; id <= 4; ++id) f.push(id, id * 10, true);
  CHECK(f.step(0) == Tags{10, 30});
  CHECK(f.step(1) == Tags{20, 40});
  f.push(4, 41);
  CHECK(f.form(0).empty());
  CHECK(f.step(1) == Tags{0, 41});
}

TEST_CASE("an instance that is called away comes out empty once, and its sequences stay with it") {
  Fixture f(2, true, 2);
  std::jthread away([&] { CHECK(f.scheduler->next(1).value().requests.empty()); });
  f.scheduler->call_away(1);
  away.join();
  for (std::uint64_t id = 1; id <= 2; ++id) f.push(id, id * 10, true);
  f.scheduler->call_away(1);
  CHECK(f.scheduler->next(1).value().requests.empty());
  CHECK(f.step(0) == Tags{10});
  CHECK(f.step(1) == Tags{20});
}

TEST_CASE("the state goes from response to request, begins anew with START, and stays when a request fails") {
  Fixture f(1, true);
  f.push(1, 1, true);
  REQUIRE(f.form() == Tags{1});
  CHECK(values_of(f.running[0]->inputs[5]) == std::vector<float>{7});
  f.finish(8);
  CHECK(f.sink.homes()[0].response.outputs.empty());  // the state is not the client's
  f.push(1, 2);
  REQUIRE(f.form() == Tags{2});
  CHECK(values_of(f.running[0]->inputs[5]) == std::vector<float>{8});
  CompletionSink* const next = f.running[0]->sink;
  next->complete(std::move(f.running[0]), Response{{Code::kInternal, "no"}, {}, {}});
  f.running.clear();
  f.push(1, 3);
  REQUIRE(f.form() == Tags{3});
  CHECK(values_of(f.running[0]->inputs[5]) == std::vector<float>{8});
  f.finish(9);
  f.push(1, 4, true);
  REQUIRE(f.form() == Tags{4});
  CHECK(values_of(f.running[0]->inputs[5]) == std::vector<float>{7});
  f.finish(1);
}

TEST_CASE("closed: what waits is run, or dropped, and the instances come back") {
  for (const bool drain : {true, false}) {
    Fixture f(1, true);
    f.push(1, 11, true);
    CHECK(f.step() == Tags{11});
    f.push(2, 21, true);
    f.push(2, 22);
    f.scheduler->close(drain);
    CHECK(f.submit(f.request(3, 31, true)).code() == Code::kUnavailable);
    if (drain) {
      CHECK(f.step() == Tags{21});
      CHECK(f.step() == Tags{22});
    } else {
      CHECK(f.step().empty());
      CHECK(f.dropped.size() == 2);
    }
    CHECK_FALSE(f.scheduler->next(0).has_value());
  }
}

TEST_CASE("iterative: a request is a sequence of its own, until the model is done with it") {
  Fixture f(2, false, 1, 2, [](SequenceSpec& spec) { spec.iterative = true; });
  f.push(0, 1);
  REQUIRE(f.form() == Tags{1});
  CHECK(f.control(0, 0) == 1);
  Response again;
  again.reschedule = true;
  CompletionSink* const next = f.running[0]->sink;
  next->complete(std::move(f.running[0]), std::move(again));
  f.running.clear();
  CHECK(f.sink.size() == 0);
  f.push(0, 2);
  REQUIRE(f.form() == Tags{1, 2});
  CHECK(f.control(0, 0) == 0);
  CHECK(f.control(1, 0) == 1);
  f.finish();
  CHECK(f.sink.size() == 2);
  CHECK(f.scheduler->num_sequences() == 0);
}

TEST_CASE("oldest, with preserved order: answers of two instances go home as their requests came") {
  Fixture f(1, false, 2, 1, [](SequenceSpec& spec) { spec.preserve_ordering = true; });
  f.push(1, 11, true);
  f.push(2, 21, true);
  f.push(1, 12);
  REQUIRE(f.form(0) == Tags{11});
  auto first = std::move(f.running);
  REQUIRE(f.step(1) == Tags{21});
  CHECK(f.sink.size() == 0);
  f.running = std::move(first);
  f.finish();
  CHECK(f.sink.size() == 2);
  f.push(2, 22);
  CHECK(f.step(1) == Tags{22});
  CHECK(f.sink.size() == 2);  // 12 came before it
  CHECK(f.step(0) == Tags{12});
  REQUIRE(f.sink.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(f.sink.homes()[i].request->tag == Tags{11, 21, 12, 22}[i]);
}

TEST_CASE("oldest, with preserved order: nobody waits for the backlog, and what is dropped leaves no gap") {
  Fixture f(1, false, 1, 1, [](SequenceSpec& spec) { spec.preserve_ordering = true; });
  f.push(1, 11, true);
  f.push(2, 21, true);
  CHECK(f.step() == Tags{11});
  f.push(1, 12);
  CHECK(f.step() == Tags{12});
  CHECK(f.sink.size() == 2);  // although 21 came before it
  auto gone = f.request(1, 13);
  gone->cancelled = true;
  CHECK(f.submit(std::move(gone)).ok());
  CHECK(f.step() == Tags{21});
  REQUIRE(f.dropped.size() == 1);
  CHECK(f.sink.size() == 2);
  CompletionSink* const next = f.dropped[0].request->sink;
  next->complete(std::move(f.dropped[0].request), Response{std::move(f.dropped[0].status), {}, {}});
  CHECK(f.sink.size() == 4);
}
