#include "io/grpc_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "io/access_line.h"
#include "io/grpc_control_call.h"
#include "io/model_infer_call.h"
#include "io/stream_infer_call.h"
#include "request/response_window.h"

namespace naiad {
namespace {

// As much as is handed to the stream at a time. What waits behind it stays with its call, where a reset drops
// it.
constexpr std::size_t kMaxUnsentBytes = 512UL << 10;
// How long a client may take to hear that it should open no more calls, before those are refused.
constexpr std::uint64_t kLastCallNs = 1'000'000'000;

// A request that is no call: answered from its head.
class RefusedRequest final : public H2Stream {
 public:
  RefusedRequest(H2Connection& h2, std::string_view http_status, GrpcStatus status, std::string message)
      : h2_(h2), http_status_(http_status), status_(status), message_(std::move(message)) {}

 private:
  void on_open() override {
    if (http_status_.empty()) {
      h2_.finish(*this, status_, message_);
    } else {
      h2_.refuse(*this, http_status_);
    }
  }
  void on_data(std::span<const std::byte> data) override { h2_.consume(*this, data.size()); }
  void on_end() override {}
  void on_sent() override {}
  void on_closed() override {}

  H2Connection& h2_;
  const std::string_view http_status_;  // static text; empty: a gRPC status
  const GrpcStatus status_;
  const std::string message_;
};

// Triton answers a restricted protocol with UNAVAILABLE.
GrpcStatus status_of(AccessGate::Refusal refusal) {
  switch (refusal) {
    case AccessGate::Refusal::kRestricted:
    case AccessGate::Refusal::kUnchecked:
      return GrpcStatus::kUnavailable;
    case AccessGate::Refusal::kForbidden:
      return GrpcStatus::kPermissionDenied;
    case AccessGate::Refusal::kGuessing:
      return GrpcStatus::kResourceExhausted;
    default:
      return GrpcStatus::kUnauthenticated;
  }
}

class GrpcSession final : public Session, Stream::User, InFlight::Taker, H2Connection::User {
 public:
  GrpcSession(SessionContext& context, std::unique_ptr<Transport> transport);
  ~GrpcSession() override { context_.in_flight.abandon(*this); }
  void start();

  void drain() override;
  bool idle() const override { return h2_.num_streams() == 0; }

 private:
  void on_input() override;
  void on_sent() override { flush(); }
  void on_gone() override { end(); }
  void on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) override;
  void on_response(std::uint64_t mark, const Request& request, Response response) override;
  GrpcCall* call_of(std::uint64_t mark) const {
    return dynamic_cast<GrpcCall*>(h2_.find(static_cast<std::int32_t>(mark >> 32)));
  }
  void on_head() override {
    const ListenOptions& options = context_.options.grpc;
    head_.emplace(context_.options.http2.max_metadata_bytes, options.forward, options.gate);
  }
  void on_field(std::string_view name, std::string_view value) override { head_->add(name, value); }
  std::unique_ptr<H2Stream> on_request() override;
  // What answers a call with a status at once.
  std::unique_ptr<H2Stream> refused(GrpcStatus status, std::string message);
  void on_output() override;
  void on_pong() override;

  void flush();
  void end();
  void last_call();

  // Looks after what takes too long, and says when to look again.
  void look();
  void look_in(std::uint64_t delay_ns);
  std::uint64_t end_stalled(std::uint64_t now_ns);
  std::uint64_t keep_alive(std::uint64_t now_ns);

  SessionContext& context_;
  const std::string peer_;      // for the access log alone
  const ClientNetwork client_;  // for the gate alone
  H2Connection h2_;
  GrpcConnection connection_;
  std::optional<GrpcHead> head_;  // of the request that is being read
  bool receiving_ = false;
  bool flushing_ = false;
  bool flush_posted_ = false;
  bool draining_ = false;
  bool last_called_ = false;
  bool ended_ = false;
  bool pinged_ = false;

  EventLoop::Timer timer_;
  std::uint64_t look_ns_ = 0;  // when the timer is due
  std::uint64_t received_ns_;  // when the client was last heard
  std::uint64_t busy_ns_;      // when it last had a call
  EventLoop::Timer last_call_timer_;
  std::shared_ptr<GrpcSession*> alive_;  // for tasks that may outlive it
  Stream stream_;                        // last: it may call while it is made
};

GrpcSession::GrpcSession(SessionContext& context, std::unique_ptr<Transport> transport)
    : context_(context),
      peer_(context.options.access_log ? peer_address(transport->fd()) : ""),
      client_(context.options.grpc.gate.needs_keys() ? client_network(transport->fd()) : 0),
      h2_(*this, context.options.http2),
      connection_{context, h2_, *this, peer_},
      timer_(context.loop, [this] { look(); }),
      received_ns_(context.loop.now_ns()),
      busy_ns_(received_ns_),
      last_call_timer_(context.loop, [this] { last_call(); }),
      alive_(std::make_shared<GrpcSession*>(this)),
      stream_(context.loop, std::move(transport), context.pool, *this) {}

void GrpcSession::start() {
  stream_.start();
  look_in(context_.options.header_timeout_ns);
  if (context_.stopping.load(std::memory_order_relaxed)) drain();
}

void GrpcSession::on_input() {
  received_ns_ = context_.loop.now_ns();
  pinged_ = false;
  const auto input = stream_.input();
  receiving_ = true;
  const bool usable = h2_.receive(input, received_ns_);
  receiving_ = false;
  stream_.consume(input.size());
  if (!usable) {
    end();
    return;
  }
  flush();
}

void GrpcSession::on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) {
  GrpcCall* const call = call_of(mark);
  if (call != nullptr) {
    call->on_answer(static_cast<std::uint32_t>(mark & 0xFFFFFFFF), std::move(request), std::move(response));
  }
}

void GrpcSession::on_response(std::uint64_t mark, const Request& request, Response response) {
  GrpcCall* const call = call_of(mark);
  if (call != nullptr) {
    call->on_response(static_cast<std::uint32_t>(mark & 0xFFFFFFFF), request, std::move(response));
  } else {
    request.window->taken(response.size_bytes());
  }
}

std::unique_ptr<H2Stream> GrpcSession::on_request() {
  const Http2Limits& limits = context_.options.http2;
  GrpcHead& head = *head_;
  look_in(context_.options.stall_timeout_ns / 2);
  if (head.too_large()) {
    return refused(GrpcStatus::kResourceExhausted, "received metadata size exceeds hard limit");
  }
  if (!head.is_post()) return std::make_unique<RefusedRequest>(h2_, "405", GrpcStatus::kOk, "");
  if (!head.is_grpc()) return std::make_unique<RefusedRequest>(h2_, "415", GrpcStatus::kOk, "");
  if (AccessGate::Verdict verdict = head.check(client_); !verdict.allowed()) {
    if (verdict.refusal == AccessGate::Refusal::kGuessing) {
      // Each further guess costs a connection; calls that have begun on this one are finished.
      draining_ = true;
      last_call();
    }
    return refused(status_of(verdict.refusal), std::move(verdict.message));
  }
  if (head.is_model_infer()) return std::make_unique<ModelInferCall>(connection_, head);
  if (head.is_model_stream_infer()) {
    return std::make_unique<StreamInferCall>(connection_, head, limits.max_waiting_requests);
  }
  return std::make_unique<GrpcControlCall>(connection_, head);
}

std::unique_ptr<H2Stream> GrpcSession::refused(GrpcStatus status, std::string message) {
  context_.counts.count_grpc(head_->asked().group, status);
  if (context_.options.access_log) {
    log_access({peer_, "grpc", "POST", head_->path(), static_cast<int>(status), 0, head_->key_name()});
  }
  return std::make_unique<RefusedRequest>(h2_, "", status, std::move(message));
}

void GrpcSession::on_output() {
  // Answers that come in one round of the loop leave together, behind the last of them.
  if (receiving_ || flushing_ || ended_ || std::exchange(flush_posted_, true)) return;
  context_.loop.post([weak = std::weak_ptr<GrpcSession*>(alive_)] {
    if (const auto session = weak.lock()) {
      (*session)->flush_posted_ = false;
      (*session)->flush();
    }
  });
}

void GrpcSession::flush() {
  if (ended_ || std::exchange(flushing_, true)) return;
  bool usable = true;
  while (usable && stream_.unsent_bytes() < kMaxUnsentBytes) {
    Outgoing outgoing;
    usable = h2_.take_output(outgoing, kMaxUnsentBytes, context_.loop.now_ns());
    if (outgoing.message.pieces().empty()) break;
    stream_.send(std::move(outgoing));
  }
  flushing_ = false;
  if (!usable) {
    end();
  } else if (h2_.finished() && draining_ == last_called_) {
    stream_.close_after_sent();
  }
}

void GrpcSession::end() {
  if (std::exchange(ended_, true)) return;
  context_.in_flight.abandon(*this);
  timer_.disarm();
  last_call_timer_.disarm();
  stream_.close();
  context_.ended(*this);
}

void GrpcSession::drain() {
  if (ended_ || std::exchange(draining_, true)) return;
  h2_.go_away(false);
  flush();  // a ping overtakes what is queued: it must not, for its answer says that the client knows
  if (ended_) return;
  h2_.ping();
  last_call_timer_.arm(kLastCallNs);
}

void GrpcSession::on_pong() {
  // The client had heard of the draining when it answered this.
  if (draining_) last_call();
}

void GrpcSession::last_call() {
  if (ended_ || std::exchange(last_called_, true)) return;
  last_call_timer_.disarm();
  h2_.go_away(true);
}

void GrpcSession::look_in(std::uint64_t delay_ns) {
  const std::uint64_t due_ns = context_.loop.now_ns() + delay_ns;
  if (look_ns_ != 0 && look_ns_ <= due_ns) return;
  look_ns_ = due_ns;
  timer_.arm(delay_ns);
}

void GrpcSession::look() {
  look_ns_ = 0;
  if (ended_) return;
  const std::uint64_t now_ns = context_.loop.now_ns();
  const std::uint64_t stalled_in_ns = end_stalled(now_ns);
  if (ended_) return;
  const std::uint64_t silent_in_ns = keep_alive(now_ns);
  if (ended_) return;
  look_in(std::min(stalled_in_ns, silent_in_ns));
}

// Ends calls of which no byte, or too few, have moved for too long, and connections that are of no use.
std::uint64_t GrpcSession::end_stalled(std::uint64_t now_ns) {
  const std::uint64_t idle_ns = context_.options.http2.idle_timeout_ns;
  const std::uint64_t stall_ns = context_.options.stall_timeout_ns;
  if (h2_.num_streams() == 0) {
    if (!h2_.greeted()) {
      end();
    } else if (idle_ns != 0 && now_ns - busy_ns_ >= idle_ns) {
      drain();
    }
    return idle_ns != 0 ? idle_ns : std::uint64_t{3600} * 1'000'000'000;
  }
  busy_ns_ = now_ns;
  for (H2Stream* stream = h2_.first(); stream != nullptr; stream = H2Connection::next(*stream)) {
    auto* const call = dynamic_cast<GrpcCall*>(stream);
    const bool waits = call != nullptr ? call->stalls() : stream->unsent_bytes() > 0;
    const bool stands = waits && now_ns - stream->moved_ns() >= stall_ns;
    if (!stands && (call == nullptr || !call->crawls(now_ns))) continue;
    if (call != nullptr && stream->unsent_bytes() == 0) {
      call->fail(GrpcStatus::kDeadlineExceeded, "the message was not received in time");
    } else {
      h2_.reset(*stream, NGHTTP2_CANCEL);
    }
  }
  return stall_ns / 2;
}

// A client that has been silent for long is asked whether it is still there.
std::uint64_t GrpcSession::keep_alive(std::uint64_t now_ns) {
  const Http2Limits& limits = context_.options.http2;
  if (limits.keepalive_time_ns == 0) return std::uint64_t{3600} * 1'000'000'000;
  const std::uint64_t silent_ns = now_ns - received_ns_;
  const std::uint64_t bound_ns = limits.keepalive_time_ns + (pinged_ ? limits.keepalive_timeout_ns : 0);
  if (silent_ns < bound_ns) return bound_ns - silent_ns;
  if (pinged_) {
    end();
    return 0;
  }
  pinged_ = true;
  h2_.ping();
  return limits.keepalive_timeout_ns;
}

}  // namespace

std::unique_ptr<Session> make_grpc_session(SessionContext& context, std::unique_ptr<Transport> transport) {
  auto session = std::make_unique<GrpcSession>(context, std::move(transport));
  session->start();
  return session;
}

}  // namespace naiad
