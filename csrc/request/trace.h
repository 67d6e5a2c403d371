#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "request/request.h"

namespace naiad {

// What a traced request passes, under Triton's names (trace_mark_name).
enum class TraceMark : unsigned char {
  kHttpRecvStart,
  kHttpRecvEnd,
  kHttpSendStart,
  kHttpSendEnd,
  kGrpcWaitreadStart,
  kGrpcWaitreadEnd,
  kGrpcSendStart,
  kGrpcSendEnd,
  kInferResponseComplete,
  kRequestStart,
  kQueueStart,
  kComputeStart,
  kComputeInputEnd,
  kComputeOutputStart,
  kComputeEnd,
  kRequestEnd,
};

// "REQUEST_START". Any thread.
std::string_view trace_mark_name(TraceMark mark);

struct TraceEvent {
  TraceMark mark;
  std::uint64_t at_ns;  // steady clock
};

// A tensor as it was.
struct TracedTensor {
  bool is_input = false;  // as it was queued, in the model's own shape; otherwise of a response
  std::uint64_t at_ns = 0;
  std::string name;
  DataType dtype = DataType::kInvalid;
  Shape shape;
  std::string bytes;
};

struct TraceLevels {
  bool timestamps = false;
  bool tensors = false;

  bool any() const { return timestamps || tensors; }
};

// Where a trace stands in that of whoever asked, by the W3C's recommendation on trace contexts.
struct TraceContext {
  std::uint64_t trace_id_high = 0;
  std::uint64_t trace_id_low = 0;
  std::uint64_t span_id = 0;
  std::uint8_t flags = 0;
  std::string state{};  // the header field "tracestate" as it came
};

// Reads the header field "traceparent"; false when it is not one. Any thread.
bool read_traceparent(std::string_view text, TraceContext& context);
// Writes it. Any thread.
std::string write_traceparent(const TraceContext& context);

// By which those who read traces find one: that of its trace context, or else the number of the request's own
// trace alone.
struct TraceId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool has_context = false;

  friend bool operator==(const TraceId&, const TraceId&) = default;
};

// What was noted of one request.
struct TraceSpan {
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;  // 0: the client's own request
  std::uint64_t span_id = 0;    // of the trace context; 0 where there is none
  std::string model_name;
  std::int64_t model_version = 0;
  std::string request_id;
  std::vector<TraceEvent> events;
  std::vector<TracedTensor> tensors;
};

// What was noted of a client's request and of all requests that it led to.
struct TraceRecord {
  std::uint64_t setting = 0;  // the number of the setting that it was sampled by
  TraceLevels levels{};
  bool has_context = false;
  TraceContext parent{};           // span_id 0: it began here
  TraceContext root{};             // what it is itself; its span is the one that spans all others
  std::vector<TraceSpan> spans{};  // in the order in which they ended; none: the request was refused
};

// Who takes what was noted. It outlives every trace.
class TraceSink {
 public:
  virtual ~TraceSink() = default;
  // Of a client's request and all that it led to nothing is left. Any thread; must not block.
  virtual void traced(TraceRecord record) noexcept = 0;
  // Numbers, each given once. Any thread.
  virtual std::uint64_t next_trace_id() = 0;
  // A trace that others may be spawned of by its number, until it is forgotten. Any thread.
  virtual void remember(std::uint64_t number, std::weak_ptr<Trace> trace) = 0;
  virtual void forget(std::uint64_t number) = 0;
  // Never 0. Any thread.
  virtual std::uint64_t random() = 0;
  virtual std::uint64_t now_ns() const = 0;
};

// One request that is traced. It is on the request's way home and notes what passes; the request, and whoever
// sends its answer, share it. Any thread.
class Trace final : public CompletionSink, public std::enable_shared_from_this<Trace> {
  // What all traces of one record share.
  struct Shared;
  struct Key {};

 public:
  // Begins a trace. `record` has everything but spans.
  static std::shared_ptr<Trace> begin(TraceSink& sink, TraceRecord record);
  // For begin() and spawn() alone.
  Trace(Key key, std::shared_ptr<Shared> shared, std::uint64_t parent_id);
  ~Trace() override;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // That of a request that this one leads to.
  std::shared_ptr<Trace> spawn() const;

  // The request was admitted and begins: notes what it is, and puts itself on its way home.
  void enter(Request& request);
  // It was refused after all.
  void leave(Request& request);

  TraceId id() const { return id_; }
  // Whether it looks at the bytes of inputs and outputs.
  bool notes_tensors() const;
  void mark(TraceMark mark, std::uint64_t at_ns);
  void mark_now(TraceMark mark);

  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  static std::shared_ptr<Trace> make(std::shared_ptr<Shared> shared, std::uint64_t parent_id);
  void note_outputs(const Request& request, const Response& response);

  const std::shared_ptr<Shared> shared_;
  TraceId id_;
  std::mutex mutex_;
  TraceSpan span_;
  bool entered_ = false;
};

}  // namespace naiad
