#include "engine/tracer.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace naiad {
namespace {

constexpr std::string_view kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

class Home final : public CompletionSink {
 public:
  void respond(const Request& /*request*/, Response /*response*/) noexcept override {}
  void complete(std::unique_ptr<Request> /*request*/, Response /*response*/) noexcept override {}
};

TraceSetting setting(std::uint64_t number, std::uint32_t rate = 1, std::int64_t count = -1) {
  return {.number = number, .levels = {.timestamps = true}, .rate = rate, .count = count};
}

// One request is asked for, and answered when it is traced.
bool pass(Tracer& tracer, std::string_view model = "m", const TraceHeaders& headers = {}) {
  if (!tracer.on()) return false;
  static Home home;
  auto request = std::make_unique<Request>();
  request->trace = tracer.sample(model, headers);
  if (!request->trace) return false;
  auto spec = std::make_shared<ModelSpec>();
  spec->name = model;
  request->spec = std::move(spec);
  request->sink = &home;
  request->trace->enter(*request);
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), {});
  return true;
}

// The numbers of the settings whose news there are, with "!" for the last of a count, "." for an end.
std::string told(Tracer& tracer) {
  std::string text;
  for (const TraceNews& news : tracer.take(0)) {
    text += std::to_string(news.setting);
    if (!news.record) text += "-";
    if (news.has_all) text += "!";
    if (news.has_ended) text += ".";
    text += " ";
  }
  return text;
}

TEST_CASE("a trace is known by its context, or by its number where it has none") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1));
  const TraceId numbered = tracer.sample("m", {kParent, ""})->id();
  CHECK_FALSE(numbered.has_context);
  CHECK(numbered.high == 0);
  CHECK(numbered.low != 0);
  TraceSetting with_context = setting(2);
  with_context.has_context = true;
  tracer.set("", with_context);
  CHECK(tracer.sample("m", {kParent, ""})->id() == TraceId{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736, true});
  const std::shared_ptr<Trace> begun_here = tracer.sample("m", {});
  CHECK(begun_here->id().has_context);
  CHECK(begun_here->spawn()->id() == begun_here->id());
}

TEST_CASE("tracer: without a setting nothing is traced") {
  const FakeClock clock;
  Tracer tracer(clock);
  CHECK_FALSE(tracer.on());
  tracer.set("", {.number = 1});
  CHECK_FALSE(tracer.on());
  CHECK(tracer.take(0).empty());
}

TEST_CASE("tracer: every so manieth request") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1, 3));
  int num_traced = 0;
  for (int i = 0; i < 10; ++i) num_traced += pass(tracer) ? 1 : 0;
  CHECK(num_traced == 3);
  CHECK(told(tracer) == "1 1 1 ");
}

TEST_CASE("tracer: no more than the count") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1, 1, 2));
  CHECK(tracer.count_left("") == 2);
  CHECK(pass(tracer));
  CHECK(tracer.count_left("other") == 1);
  CHECK(pass(tracer));
  CHECK_FALSE(tracer.on());
  CHECK_FALSE(pass(tracer));
  CHECK(told(tracer) == "1 1! ");
}

TEST_CASE("tracer: a model's own setting stands before the common one") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1));
  tracer.set("m", {.number = 2});
  CHECK_FALSE(pass(tracer, "m"));
  CHECK(pass(tracer, "n"));
  tracer.clear("m");
  CHECK(pass(tracer, "m"));
  CHECK(told(tracer) == "1 2-. 1 ");
}

TEST_CASE("tracer: a setting that was replaced ends with its last trace") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1));
  const std::shared_ptr<Trace> open = tracer.sample("m", {});
  REQUIRE(open);
  tracer.set("", setting(2));
  CHECK(told(tracer).empty());
  tracer.close();
  CHECK(tracer.closed());
  CHECK_FALSE(tracer.on());
  CHECK(told(tracer) == "2-. ");
}

TEST_CASE("tracer: refused requests end too") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1, 1, 1));
  tracer.sample("m", {}).reset();
  CHECK(told(tracer) == "1-! ");
}

TEST_CASE("tracer: what is not taken in time is dropped, and counted") {
  const FakeClock clock;
  Tracer tracer(clock, {.num_records = 2, .num_bytes = 1U << 20});
  tracer.set("", setting(1));
  for (int i = 0; i < 5; ++i) CHECK(pass(tracer));
  CHECK(tracer.num_dropped() == 3);
  CHECK(told(tracer) == "1 1 ");
  Tracer small(clock, {.num_records = 100, .num_bytes = 10});
  small.set("", setting(1));
  CHECK(pass(small));
  CHECK(small.num_dropped() == 1);
}

TEST_CASE("tracer: who comes with a context is traced in any case, where contexts count") {
  const FakeClock clock;
  Tracer tracer(clock);
  TraceSetting wanted = setting(1, 0);
  tracer.set("", wanted);
  CHECK_FALSE(tracer.on());
  wanted.has_context = true;
  tracer.set("", wanted);
  CHECK_FALSE(pass(tracer));
  CHECK_FALSE(pass(tracer, "m", {.parent = "nonsense", .state = ""}));
  CHECK(pass(tracer, "m", {.parent = kParent, .state = "a=b"}));
  const auto news = tracer.take(0);
  REQUIRE(news.size() == 2);
  const TraceRecord& record = *news[1].record;
  CHECK(record.parent.span_id == 0x00f067aa0ba902b7);
  CHECK(record.root.trace_id_high == 0x4bf92f3577b34da6);
  CHECK(record.root.span_id != record.parent.span_id);
  CHECK(record.root.flags == 1);
  CHECK(record.root.state == "a=b");
  CHECK(record.spans.front().span_id != 0);
}

TEST_CASE("tracer: requests that are made for a traced one go with it, as long as it lasts") {
  const FakeClock clock;
  Tracer tracer(clock);
  tracer.set("", setting(1));
  std::shared_ptr<Trace> parent = tracer.sample("m", {});
  std::shared_ptr<Trace> child = tracer.spawn_of(1);
  CHECK(child != nullptr);
  CHECK(tracer.spawn_of(3) == nullptr);
  parent.reset();
  CHECK(tracer.spawn_of(1) == nullptr);
  CHECK(told(tracer).empty());
  child.reset();
  CHECK(tracer.take(0).empty());
}

TEST_CASE("tracer: one request is watched whatever the settings are, with those that it leads to") {
  const FakeClock clock;
  Tracer tracer(clock);
  const auto watch = std::make_shared<TraceWatch>();
  static Home home;
  auto request = std::make_unique<Request>();
  auto spec = std::make_shared<ModelSpec>();
  spec->name = "m";
  request->spec = std::move(spec);
  request->sink = &home;
  request->trace = tracer.watch(watch);
  request->trace->enter(*request);
  std::shared_ptr<Trace> child = tracer.spawn_of(request->trace_number);
  CHECK(child != nullptr);
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), {});
  CHECK_FALSE(watch->take(0).has_value());
  child.reset();
  const auto record = watch->take(0);
  REQUIRE(record.has_value());
  REQUIRE(record->spans.size() == 1);
  CHECK(record->spans.front().model_name == "m");
  CHECK(record->spans.front().events.size() == 2);
  CHECK(tracer.take(0).empty());
  CHECK_FALSE(tracer.on());
}

TEST_CASE("tracer: many threads at once") {
  const SteadyClock clock;
  Tracer tracer(clock);
  constexpr int kEach = 500;
  tracer.set("", setting(1));
  std::size_t num_taken = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) pass(tracer);
    });
  }
  threads.emplace_back([&] {
    for (std::uint64_t number = 2; number < 50; ++number) tracer.set("m", setting(number, 1, 10));
  });
  std::jthread reader([&] {
    while (true) {
      const auto news = tracer.take(1'000'000'000);
      if (news.empty() && tracer.closed()) return;
      for (const TraceNews& each : news) num_taken += each.record ? 1U : 0U;
    }
  });
  threads.clear();
  tracer.close();
  reader.join();
  CHECK(num_taken > 0);
  CHECK(num_taken + tracer.num_dropped() <= 3 * kEach);
}

}  // namespace
}  // namespace naiad
