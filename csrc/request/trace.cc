#include "request/trace.h"

#include <array>
#include <cstdio>
#include <optional>
#include <utility>

namespace naiad {
namespace {

constexpr std::array<std::string_view, 16> kMarkNames = {
    "HTTP_RECV_START",         "HTTP_RECV_END",        "HTTP_SEND_START", "HTTP_SEND_END",
    "GRPC_WAITREAD_START",     "GRPC_WAITREAD_END",    "GRPC_SEND_START", "GRPC_SEND_END",
    "INFER_RESPONSE_COMPLETE", "REQUEST_START",        "QUEUE_START",     "COMPUTE_START",
    "COMPUTE_INPUT_END",       "COMPUTE_OUTPUT_START", "COMPUTE_END",     "REQUEST_END",
};

// Lower case hexadecimal digits alone, as the recommendation has it.
std::optional<std::uint64_t> read_hex(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    std::uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint64_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value << 4 | digit;
  }
  return value;
}

// What is traced is written later: the memory itself is not held until then.
TracedTensor copy_of(const Tensor& tensor, bool is_input, std::uint64_t at_ns, const std::string& name) {
  return {is_input,     at_ns,
          name,         tensor.dtype,
          tensor.shape, std::string(reinterpret_cast<const char*>(tensor.data), tensor.size_bytes)};
}

}  // namespace

std::string_view trace_mark_name(TraceMark mark) {
  return kMarkNames[static_cast<std::size_t>(mark)];
}

// version "-" trace-id "-" parent-id "-" trace-flags; later versions may have more behind that.
bool read_traceparent(std::string_view text, TraceContext& context) {
  constexpr std::size_t kSize = 55;
  if (text.size() < kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const auto version = read_hex(text.substr(0, 2));
  if (!version || *version == 0xff) return false;
  if (text.size() > kSize && (*version == 0 || text[kSize] != '-')) return false;
  const auto high = read_hex(text.substr(3, 16));
  const auto low = read_hex(text.substr(19, 16));
  const auto span = read_hex(text.substr(36, 16));
  const auto flags = read_hex(text.substr(53, 2));
  if (!high || !low || !span || !flags || (*high == 0 && *low == 0) || *span == 0) return false;
  context.trace_id_high = *high;
  context.trace_id_low = *low;
  context.span_id = *span;
  context.flags = static_cast<std::uint8_t>(*flags);
  return true;
}

std::string write_traceparent(const TraceContext& context) {
  std::array<char, 64> text{};
  const int size =
      std::snprintf(text.data(), text.size(), "00-%016llx%016llx-%016llx-%02x",
                    static_cast<unsigned long long>(context.trace_id_high),
                    static_cast<unsigned long long>(context.trace_id_low),
                    static_cast<unsigned long long>(context.span_id), static_cast<unsigned>(context.flags));
  return {text.data(), static_cast<std::size_t>(size)};
}

struct Trace::Shared {
  Shared(TraceSink& to, TraceRecord begun) : sink(to), record(std::move(begun)) {}
  ~Shared() { sink.traced(std::move(record)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  TraceSink& sink;
  std::mutex mutex;  // guards record.spans; the rest does not change
  TraceRecord record;
};

std::shared_ptr<Trace> Trace::begin(TraceSink& sink, TraceRecord record) {
  return make(std::make_shared<Shared>(sink, std::move(record)), 0);
}

Trace::Trace(Key /*key*/, std::shared_ptr<Shared> shared, std::uint64_t parent_id)
    : shared_(std::move(shared)) {
  span_.id = shared_->sink.next_trace_id();
  span_.parent_id = parent_id;
  const TraceRecord& record = shared_->record;
  if (record.has_context) span_.span_id = shared_->sink.random();
  id_ = record.has_context ? TraceId{record.root.trace_id_high, record.root.trace_id_low, true}
                           : TraceId{.low = span_.id};
}

std::shared_ptr<Trace> Trace::make(std::shared_ptr<Shared> shared, std::uint64_t parent_id) {
  auto trace = std::make_shared<Trace>(Key{}, std::move(shared), parent_id);
  trace->shared_->sink.remember(trace->span_.id, trace);
  return trace;
}

Trace::~Trace() {
  shared_->sink.forget(span_.id);
  if (!entered_) return;
  const std::lock_guard lock(shared_->mutex);
  shared_->record.spans.push_back(std::move(span_));
}

bool Trace::notes_tensors() const {
  return shared_->record.levels.tensors;
}

std::shared_ptr<Trace> Trace::spawn() const {
  return make(shared_, span_.id);
}

void Trace::enter(Request& request) {
  const std::lock_guard lock(mutex_);
  entered_ = true;
  span_.model_name = request.spec->name;
  span_.model_version = request.spec->version;
  span_.request_id = request.id;
  if (shared_->record.levels.timestamps) {
    span_.events.push_back({TraceMark::kRequestStart, request.timestamps.received_ns});
  }
  request.trace_number = span_.id;
  if (shared_->record.has_context) {
    TraceContext place = shared_->record.root;
    place.span_id = span_.span_id;
    request.trace_parent = write_traceparent(place);
    request.trace_state = shared_->record.root.state;
  }
  if (shared_->record.levels.tensors) {
    const std::uint64_t now_ns = shared_->sink.now_ns();
    for (std::size_t i = 0; i < request.inputs.size(); ++i) {
      const Tensor& tensor = request.inputs[i];
      if (!tensor.present()) continue;
      span_.tensors.push_back(copy_of(tensor, true, now_ns, request.spec->inputs[i].name));
    }
  }
  request.pass_by(this);
}

void Trace::leave(Request& request) {
  request.pass_on();
  const std::lock_guard lock(mutex_);
  entered_ = false;
}

void Trace::mark(TraceMark mark, std::uint64_t at_ns) {
  if (!shared_->record.levels.timestamps) return;
  const std::lock_guard lock(mutex_);
  span_.events.push_back({mark, at_ns});
}

void Trace::mark_now(TraceMark mark) {
  this->mark(mark, shared_->sink.now_ns());
}

void Trace::note_outputs(const Request& request, const Response& response) {
  if (!shared_->record.levels.tensors) return;
  const std::uint64_t now_ns = shared_->sink.now_ns();
  const std::lock_guard lock(mutex_);
  for (const OutputTensor& output : response.outputs) {
    const std::string& name = request.spec->outputs[output.index].name;
    span_.tensors.push_back(copy_of(output.tensor, false, now_ns, name));
  }
}

void Trace::respond(const Request& request, Response response) noexcept {
  note_outputs(request, response);
  request.after(*this).respond(request, std::move(response));
}

void Trace::complete(std::unique_ptr<Request> request, Response response) noexcept {
  const auto self = shared_from_this();  // the request may be gone when this returns
  note_outputs(*request, response);
  if (request->timestamps.queued_ns != 0) mark(TraceMark::kQueueStart, request->timestamps.queued_ns);
  mark_now(TraceMark::kRequestEnd);
  request->pass_on();
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
}

}  // namespace naiad
