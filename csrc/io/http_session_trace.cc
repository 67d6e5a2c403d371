#include "io/http_session.h"
#include "request/trace.h"

namespace naiad {

void HttpSession::start_trace(Request& request) {
  const TraceHeaders headers{head_.field("traceparent").value_or(""), head_.field("tracestate").value_or("")};
  request.trace = context_.engine.tracer().sample(request.model_name, headers);
  if (!request.trace) return;
  request.trace->mark(TraceMark::kHttpRecvStart, begun_ns_);
  request.trace->mark_now(TraceMark::kHttpRecvEnd);
}

void HttpSession::trace_answer() {
  if (!trace_) return;
  sending_ = std::move(trace_);
  sending_->mark_now(TraceMark::kHttpSendStart);
}

}  // namespace naiad
