#include "io/grpc_call.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/checked.h"
#include "io/access_line.h"
#include "protocol/tensor_place.h"
#include "protocol/v2_grpc.h"
#include "request/response_window.h"
#include "request/trace.h"

namespace naiad {
namespace {

// A held piece is accounted in steps, so that many small ones do not become many shares.
constexpr std::size_t kHeldStepBytes = 64UL << 10;

std::uint64_t deadline_of(const GrpcHead& head, std::uint64_t now_ns) {
  if (!head.timeout_ns()) return 0;
  return checked_add(now_ns, *head.timeout_ns()).value_or(std::numeric_limits<std::uint64_t>::max());
}

}  // namespace

void reserve_grpc_prefix(WireMessage& message) {
  message.text().append(kGrpcPrefixBytes, '\0');
}

void complete_grpc_prefix(WireMessage& message) {
  write_grpc_prefix(std::span<char, kGrpcPrefixBytes>(message.text().data(), kGrpcPrefixBytes), false,
                    message.size_bytes() - kGrpcPrefixBytes);
}

GrpcCall::GrpcCall(GrpcConnection& connection, GrpcHead& head)
    : connection_(connection),
      unknown_coding_(!read_content_encoding(head.encoding(), coding_).ok()),
      deadline_ns_(deadline_of(head, connection.context.loop.clock().now_ns())),
      bad_timeout_(head.bad_timeout()),
      trace_parent_(head.trace_parent()),
      trace_state_(head.trace_state()),
      group_(head.asked().group),
      begun_ns_(connection.context.loop.now_ns()),
      inflation_(connection.context.coding, connection.context.pool,
                 connection.context.options.http2.max_message_bytes) {
  if (context().options.access_log) {
    path_ = head.path();
    key_name_ = head.key_name();
  }
  if (head.is_inference()) forwarded_ = head.take_metadata();
}

GrpcCall::~GrpcCall() = default;

// Answers come by value: those that take them keep them.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void GrpcCall::on_response(std::uint32_t, const Request& request, Response response) {
  request.window->taken(response.size_bytes());
}

// NOLINTNEXTLINE(performance-unnecessary-value-param)
void GrpcCall::on_answer(std::uint32_t, std::unique_ptr<Request>, Response) {}

void GrpcCall::on_open() {
  if (bad_timeout_) {
    fail(GrpcStatus::kInternal,
         "grpc-timeout is malformed, expected at most 8 digits and one of H M S m u n");
    return;
  }
  if (unknown_coding_) {
    fail(GrpcStatus::kUnimplemented, "grpc-encoding is not supported, expected gzip, deflate or identity");
    return;
  }
  if (deadline_ns_ == 0) return;
  const std::uint64_t now_ns = context().loop.clock().now_ns();
  if (now_ns >= deadline_ns_) {
    on_deadline();
    return;
  }
  deadline_.emplace(context().loop, [this] { on_deadline(); });
  deadline_->arm(deadline_ns_ - now_ns);
}

void GrpcCall::finish(GrpcStatus status, std::string_view message) {
  if (std::exchange(done_, true)) return;
  tell(status);
  if (deadline_) deadline_->disarm();
  message_.reset();
  inflation_.cancel();
  connection_.h2.finish(*this, status, message);
  connection_.h2.consume(*this, held_.size());
  held_.clear();
  held_shares_.clear();
}

void GrpcCall::fail(GrpcStatus status, std::string_view message) {
  if (done_) return;
  on_abandoned();
  finish(status, message);
}

void GrpcCall::on_deadline() {
  fail(GrpcStatus::kDeadlineExceeded, "Deadline Exceeded");
}

void GrpcCall::on_closed() {
  inflation_.cancel();
  if (done_) return;
  tell(GrpcStatus::kCancelled);
  on_abandoned();
}

void GrpcCall::tell(GrpcStatus status) {
  context().counts.count_grpc(group_, status);
  if (!context().options.access_log) return;
  log_access({connection_.peer, "grpc", "POST", path_, static_cast<int>(status),
              context().loop.now_ns() - begun_ns_, key_name_});
}

void GrpcCall::on_data(std::span<const std::byte> data) {
  const std::size_t taken = done_ ? data.size() : held_.empty() ? assemble(data) : 0;
  connection_.h2.consume(*this, taken);
  if (taken < data.size()) hold(data.subspan(taken));
}

void GrpcCall::on_end() {
  ended_ = true;
  say_half_close();
}

void GrpcCall::say_half_close() {
  if (!ended_ || done_ || half_closed_ || !held_.empty() || inflation_.under_way()) return;
  half_closed_ = true;
  if (assembling()) {
    fail(GrpcStatus::kInternal, "the request ended inside a message");
  } else {
    on_half_close();
  }
}

void GrpcCall::resume() {
  if (in_assembly_) return;  // which asks may_begin() by itself
  if (!held_.empty() && !done_ && may_begin() && !inflation_.under_way()) {
    const std::string held = std::exchange(held_, {});
    const std::vector<Budget::Share> shares = std::exchange(held_shares_, {});
    const auto data = std::as_bytes(std::span(held));
    const std::size_t taken = assemble(data);
    connection_.h2.consume(*this, taken);
    if (taken < data.size() && !done_) hold(data.subspan(taken));
  }
  say_half_close();
}

void GrpcCall::hold(std::span<const std::byte> data) {
  const std::size_t needed = held_.size() + data.size();
  while (held_shares_.size() * kHeldStepBytes < needed) {
    Budget::Share share = context().bytes.try_take(kHeldStepBytes);
    if (!share) {
      connection_.h2.consume(*this, data.size());
      fail(GrpcStatus::kResourceExhausted, "too many bytes in flight");
      return;
    }
    held_shares_.push_back(std::move(share));
  }
  held_.append(reinterpret_cast<const char*>(data.data()), data.size());
}

std::size_t GrpcCall::assemble(std::span<const std::byte> data) {
  const std::size_t given = data.size();
  in_assembly_ = true;
  while (!done_ && (!data.empty() || message_)) {
    if (!message_) {
      if (!prefix_.begun() && (inflation_.under_way() || !may_begin())) break;
      if (!prefix_.take(data)) break;
      begin_message(data);
      if (done_) break;
    }
    const std::size_t count = std::min(data.size(), message_->size_bytes - filled_);
    if (count > 0) std::memcpy(message_->block->data() + message_->begin + filled_, data.data(), count);
    filled_ += count;
    data = data.subspan(count);
    if (filled_ < message_->size_bytes) break;
    complete_message();
  }
  in_assembly_ = false;
  return done_ ? given : given - data.size();
}

void GrpcCall::begin_message(std::span<const std::byte> data) {
  message_begun_ns_ = paced_ns_ = context().loop.now_ns();
  paced_bytes_ = 0;
  const std::size_t size_bytes = prefix_.size_bytes();
  const std::size_t limit = context().options.http2.max_message_bytes;
  if (prefix_.flag() > 1) {
    fail(GrpcStatus::kInternal, "a message has an unknown compression flag");
    return;
  }
  if (prefix_.flag() == 1 && coding_ == ContentCoding::kIdentity) {
    // There is nothing to decompress it by (grpc, doc/compression.md).
    fail(GrpcStatus::kInternal, "a message is compressed, but grpc-encoding is identity");
    return;
  }
  if (size_bytes > limit) {
    fail(GrpcStatus::kResourceExhausted, "Received message larger than max (" + std::to_string(size_bytes) +
                                             " vs. " + std::to_string(limit) + ")");
    return;
  }
  GrpcMessage message;
  message.share = context().bytes.try_take(size_bytes);
  message.begin = aligning_shift(first_tensor_offset(data.first(std::min(data.size(), size_bytes))));
  if (message.share) message.block = context().pool.try_allocate(message.begin + size_bytes);
  if (!message.block) {
    fail(GrpcStatus::kResourceExhausted,
         "too many bytes in flight to take a message of " + std::to_string(size_bytes) + " bytes");
    return;
  }
  message.size_bytes = size_bytes;
  message_ = std::move(message);
  filled_ = 0;
  connection_.h2.expect(*this, size_bytes);
}

bool GrpcCall::crawls(std::uint64_t now_ns) {
  if (!message_ || now_ns - paced_ns_ < context().options.stall_timeout_ns) return false;
  const bool enough = filled_ - paced_bytes_ >= context().least_bytes(now_ns - paced_ns_);
  paced_ns_ = now_ns;
  paced_bytes_ = filled_;
  return !enough;
}

void GrpcCall::complete_message() {
  GrpcMessage message = std::move(*message_);
  message_.reset();
  const bool compressed = prefix_.flag() == 1;
  prefix_.reset();
  compressed ? inflate(std::move(message)) : on_message(std::move(message));
}

void GrpcCall::inflate(GrpcMessage message) {
  const auto share = std::make_shared<Budget::Share>(std::move(message.share));
  const auto bytes = message.bytes();
  inflation_.begin(
      bytes, std::move(message.block), coding_, [this, share](const Status& status, PlainBody plain) {
        if (!status.ok()) return fail(grpc_status(status.code()), status.message());
        *share = {};
        const std::size_t size_bytes = plain.size_bytes;
        GrpcMessage inflated{std::move(plain.block), size_bytes, context().bytes.try_take(size_bytes)};
        if (!inflated.share) {
          return fail(GrpcStatus::kResourceExhausted, "too many bytes in flight to take a message of " +
                                                          std::to_string(size_bytes) + " bytes");
        }
        on_message(std::move(inflated));
        resume();
      });
}

Status GrpcCall::submit(GrpcMessage& message, std::uint32_t number, std::string_view refusal_of_many,
                        Submitted& submitted) {
  if (context().stopping.load(std::memory_order_relaxed)) {
    return {Code::kUnavailable,
            "Server is stopping, scheduler for model has stopped accepting new inference requests"};
  }
  auto request = std::make_unique<Request>();
  request->body = message.block;
  Status status = decode_v2_grpc(message.bytes(), context().pool, context().options.decode, *request);
  for (const auto& [name, value] : forwarded_) {
    if (status.ok()) status = context().options.grpc.forward.add(name, value, *request);
  }
  if (status.ok()) {
    request->deadline_ns = deadline_ns_;
    request->refusal_of_many = refusal_of_many;
    if (refusal_of_many.empty()) submitted.decoupled = is_decoupled(*request);
    request->trace = submitted.trace = start_trace(*request);
    context().in_flight.add(*request, connection_.taker, mark(number));
    status = context().engine.submit(request);
    if (!status.ok()) context().in_flight.remove(*request);
  }
  if (!status.ok()) {
    submitted.id = request->id;
    submitted.trace.reset();
  }
  return status;
}

bool GrpcCall::is_decoupled(const Request& request) const {
  std::shared_ptr<Model> model;
  const Status status = context().engine.find(request.model_name, request.model_version, model);
  return status.ok() && model->spec().decoupled;
}

std::shared_ptr<Trace> GrpcCall::start_trace(const Request& request) const {
  Tracer& tracer = context().engine.tracer();
  if (!tracer.on()) return nullptr;
  std::shared_ptr<Trace> trace = tracer.sample(request.model_name, {trace_parent_, trace_state_});
  if (trace) {
    trace->mark(TraceMark::kGrpcWaitreadStart, message_begun_ns_);
    trace->mark_now(TraceMark::kGrpcWaitreadEnd);
  }
  return trace;
}

void GrpcCall::abandon(std::uint32_t number) {
  context().in_flight.abandon(connection_.taker, mark(number));
}

std::uint64_t GrpcCall::mark(std::uint32_t number) const {
  return static_cast<std::uint64_t>(id()) << 32 | number;
}

}  // namespace naiad
