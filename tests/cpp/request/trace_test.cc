#include "request/trace.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"

namespace naiad {
namespace {

class KeptTraces final : public TraceSink {
 public:
  void traced(TraceRecord record) noexcept override { records.push_back(std::move(record)); }
  std::uint64_t next_trace_id() override { return ++last_id_; }
  void remember(std::uint64_t number, std::weak_ptr<Trace> /*trace*/) override { open.insert(number); }
  void forget(std::uint64_t number) override { open.erase(number); }
  std::uint64_t random() override { return 0xabc; }
  std::uint64_t now_ns() const override { return clock.now_ns(); }

  FakeClock clock{1000};
  std::vector<TraceRecord> records;
  std::set<std::uint64_t> open;

 private:
  std::uint64_t last_id_ = 0;
};

class Home final : public CompletionSink {
 public:
  void respond(const Request& /*request*/, Response response) noexcept override {
    responses.push_back(std::move(response));
  }
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    taken = std::move(request);
    responses.push_back(std::move(response));
  }

  std::vector<Response> responses;
  std::unique_ptr<Request> taken;
};

class Stop final : public CompletionSink {
 public:
  void respond(const Request& request, Response response) noexcept override {
    ++num_passed;
    request.after(*this).respond(request, std::move(response));
  }
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    request->pass_on();
    CompletionSink* const sink = request->sink;
    sink->complete(std::move(request), std::move(response));
  }

  int num_passed = 0;
};

constexpr std::array<std::byte, 4> kBytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

Tensor tensor() {
  return {DataType::kUint8, Shape{1, 4}, kBytes.data(), kBytes.size(), {}};
}

std::unique_ptr<Request> make_request(CompletionSink& home) {
  ModelSpec spec;
  spec.name = "m";
  spec.version = 3;
  spec.inputs.resize(2);
  spec.inputs[0].name = "IN";
  spec.outputs.resize(1);
  spec.outputs[0].name = "OUT";
  auto request = std::make_unique<Request>();
  request->spec = std::make_shared<const ModelSpec>(std::move(spec));
  request->id = "r";
  request->inputs = {tensor(), {}};
  request->timestamps = {.received_ns = 10, .queued_ns = 20, .compute_start_ns = 0};
  request->sink = &home;
  return request;
}

Response answer() {
  Response response;
  response.outputs.push_back({0, tensor()});
  return response;
}

TEST_CASE("trace: what passes is noted, and given up when nothing of it is left") {
  KeptTraces kept;
  Home home;
  auto request = make_request(home);
  request->trace = Trace::begin(kept, {.setting = 7, .levels = {.timestamps = true, .tensors = true}});
  request->trace->mark(TraceMark::kHttpRecvStart, 5);
  request->trace->enter(*request);
  auto step = make_request(home);
  step->trace = request->trace->spawn();
  step->trace->enter(*step);
  CompletionSink* sink = step->sink;
  sink->complete(std::move(step), {});
  home.taken.reset();
  CHECK(kept.records.empty());
  sink = request->sink;
  sink->respond(*request, answer());
  sink->complete(std::move(request), answer());
  CHECK(home.responses.size() == 3);
  CHECK(home.taken->sink == &home);
  CHECK(home.taken->trace_number == 1);
  CHECK(kept.records.empty());
  CHECK(kept.open == std::set<std::uint64_t>{1});
  home.taken.reset();

  REQUIRE(kept.records.size() == 1);
  const TraceRecord& record = kept.records.front();
  CHECK(record.setting == 7);
  REQUIRE(record.spans.size() == 2);
  CHECK(record.spans[0].parent_id == 1);
  const TraceSpan& span = record.spans[1];
  CHECK(span.id == 1);
  CHECK(span.parent_id == 0);
  CHECK(span.model_name == "m");
  CHECK(span.model_version == 3);
  CHECK(span.request_id == "r");
  std::string marks;
  for (const TraceEvent& event : span.events) {
    marks += std::string(trace_mark_name(event.mark)) + "@" + std::to_string(event.at_ns) + " ";
  }
  CHECK(marks == "HTTP_RECV_START@5 REQUEST_START@10 QUEUE_START@20 REQUEST_END@1000 ");
  REQUIRE(span.tensors.size() == 3);
  CHECK(span.tensors[0].is_input);
  CHECK(span.tensors[0].name == "IN");
  CHECK(span.tensors[0].bytes == std::string("\1\2\3\4"));
  CHECK_FALSE(span.tensors[1].is_input);
  CHECK(span.tensors[2].name == "OUT");
}

TEST_CASE("trace: what no level asks for is not noted") {
  KeptTraces kept;
  Home home;
  for (const TraceLevels levels : {TraceLevels{.timestamps = true}, TraceLevels{.tensors = true}}) {
    auto request = make_request(home);
    request->trace = Trace::begin(kept, {.levels = levels});
    request->trace->enter(*request);
    CompletionSink* const sink = request->sink;
    sink->complete(std::move(request), answer());
    home.taken.reset();
    const TraceSpan& span = kept.records.back().spans.front();
    CHECK(span.events.empty() != levels.timestamps);
    CHECK(span.tensors.empty() != levels.tensors);
  }
}

TEST_CASE("trace: a request that is refused leaves no span") {
  KeptTraces kept;
  Home home;
  auto request = make_request(home);
  request->trace = Trace::begin(kept, {.levels = {.timestamps = true}});
  request->trace->enter(*request);
  request->trace->leave(*request);
  CHECK(request->sink == &home);
  request.reset();
  REQUIRE(kept.records.size() == 1);
  CHECK(kept.records.front().spans.empty());
}

TEST_CASE("trace: responses pass every stop on the way, in its order") {
  KeptTraces kept;
  Home home;
  Stop before;
  Stop behind;
  auto request = make_request(home);
  request->trace = Trace::begin(kept, {.levels = {.tensors = true}});
  request->pass_by(&before);
  request->trace->enter(*request);
  request->pass_by(&behind);
  request->sink->respond(*request, answer());
  CHECK(before.num_passed == 1);
  CHECK(behind.num_passed == 1);
  CHECK(home.responses.size() == 1);
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), answer());
  home.taken.reset();
  CHECK(kept.records.front().spans.front().tensors.size() == 3);
}

TEST_CASE("trace: a request is told its place in the trace of whoever asked") {
  KeptTraces kept;
  Home home;
  auto request = make_request(home);
  TraceRecord record{.levels = {.timestamps = true}, .has_context = true};
  record.root = {.trace_id_high = 1, .trace_id_low = 2, .span_id = 3, .flags = 1, .state = "a=b"};
  request->trace = Trace::begin(kept, std::move(record));
  request->trace->enter(*request);
  CHECK(request->trace_parent == "00-00000000000000010000000000000002-0000000000000abc-01");
  CHECK(request->trace_state == "a=b");
}

TEST_CASE("trace: traceparent") {
  constexpr std::string_view kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  TraceContext context;
  REQUIRE(read_traceparent(kGood, context));
  CHECK(write_traceparent(context) == kGood);
  CHECK(read_traceparent("01" + std::string(kGood.substr(2)) + "-more", context));
  for (const std::string& bad : {std::string(), std::string(kGood.substr(1)), std::string(kGood) + "-more",
                                 "ff" + std::string(kGood.substr(2)),
                                 std::string("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
                                 std::string("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
                                 std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"),
                                 std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01"),
                                 std::string("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x")}) {
    CAPTURE(bad);
    CHECK_FALSE(read_traceparent(bad, context));
  }
}

}  // namespace
}  // namespace naiad
