#include "io/stream_infer_call.h"

#include <utility>

#include "protocol/v2_grpc.h"
#include "request/trace.h"

namespace naiad {
namespace {

// A client that does not read its answers is not read either.
constexpr std::size_t kMaxUnsentBytes = 1UL << 20;

}  // namespace

StreamInferCall::StreamInferCall(GrpcConnection& connection, GrpcHead& head, std::size_t max_waiting)
    : GrpcCall(connection, head), max_waiting_(max_waiting), strict_(head.strict_errors()) {}

bool StreamInferCall::may_begin() const {
  return turns_.size() < max_waiting_ && unsent_bytes() < kMaxUnsentBytes;
}

void StreamInferCall::on_message(GrpcMessage message) {
  const std::uint32_t number = first_number_ + static_cast<std::uint32_t>(turns_.size());
  Turn& turn = turns_.emplace_back();
  Submitted submitted;
  turn.status = submit(message, number, {}, submitted);
  turn.id = std::move(submitted.id);
  turn.decoupled = submitted.decoupled;
  turn.trace = std::move(submitted.trace);
  turn.share = std::move(message.share);
  turn.answered = !turn.status.ok();
  if (turn.answered) advance();
}

void StreamInferCall::on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response) {
  Turn& turn = turns_[number - first_number_];
  turn.answered = true;
  // Its model may not have been there to be asked when the request was submitted.
  turn.decoupled = turn.decoupled || (request->spec != nullptr && request->spec->decoupled);
  if (turn.trace) turn.trace->mark_now(TraceMark::kInferResponseComplete);
  const bool told = !response.is_empty || request->wants_empty_final;
  // One whose turn has not come yet is sent later, when this request and its response are gone.
  const bool waits = number != first_number_ && !turn.decoupled;
  if (told) turn.status = encode(*request, response, true, waits, turn.out);
  if (!turn.status.ok()) turn.id = request->id;
  advance();
}

void StreamInferCall::on_response(std::uint32_t number, const Request& request, Response response) {
  const std::size_t size_bytes = response.size_bytes();
  Turn turn;
  turn.status = encode(request, response, false, false, turn.out);
  if (!turn.status.ok()) turn.id = request.id;
  // It may have been found decoupled by this alone: a model is loaded while requests are on their way.
  Turn& whole = turns_[number - first_number_];
  whole.decoupled = true;
  if (whole.trace) {
    whole.trace->mark_now(TraceMark::kInferResponseComplete);
    turn.trace = whole.trace;
  }
  const bool goes_on = send_turn(turn);
  unsent_.add(request, size_bytes, goes_on && unsent_bytes() >= kMaxUnsentBytes);
}

void StreamInferCall::on_sent() {
  unsent_.gone();
  resume();
}

Status StreamInferCall::encode(const Request& request, Response& response, bool is_final, bool waits,
                               std::deque<Outgoing>& out) {
  Outgoing body;
  if (Status status = encode_v2_grpc(request, response, body.message); !status.ok()) return status;
  append_final_mark(body.message, is_final);
  const std::size_t size_bytes = body.message.size_bytes();
  std::string wrap;
  append_stream_head(wrap, size_bytes);
  Outgoing head;
  reserve_grpc_prefix(head.message);
  head.message.text() += wrap;
  head.message.end_text();
  write_grpc_prefix(std::span<char, kGrpcPrefixBytes>(head.message.text().data(), kGrpcPrefixBytes), false,
                    wrap.size() + size_bytes);
  if (waits || size_bytes > H2Connection::kCopyBytes) {
    body.owner = std::make_shared<Response>(std::move(response));
  }
  out.push_back(std::move(head));
  out.push_back(std::move(body));
  return {};
}

void StreamInferCall::advance() {
  bool in_order = true;  // all turns before have been answered
  for (std::size_t i = 0; i < turns_.size() && !done(); ++i) {
    Turn& turn = turns_[i];
    if (turn.answered && (in_order || turn.decoupled) && !send_turn(turn)) return;
    in_order = in_order && (turn.answered || turn.decoupled);
  }
  while (!turns_.empty() && turns_.front().answered) {
    turns_.pop_front();
    ++first_number_;
  }
  if (half_closed_ && turns_.empty()) finish(GrpcStatus::kOk, {});
  if (!done()) resume();
}

bool StreamInferCall::send_turn(Turn& turn) {
  const std::shared_ptr<Trace> trace = std::move(turn.trace);
  if (turn.status.ok()) {
    if (trace) trace->mark_now(TraceMark::kGrpcSendStart);
    for (Outgoing& part : std::exchange(turn.out, {})) send(std::move(part));
    if (trace) trace->mark_now(TraceMark::kGrpcSendEnd);
    return true;
  }
  const Status status = std::exchange(turn.status, {});
  if (!strict_) {
    send_error(status, turn.id);
    return true;
  }
  on_abandoned();
  finish(grpc_status(status.code()), status.message());
  return false;
}

void StreamInferCall::send_error(const Status& status, std::string_view id) {
  Outgoing outgoing;
  reserve_grpc_prefix(outgoing.message);
  append_stream_error(outgoing.message.text(), status.message(), id);
  outgoing.message.end_text();
  complete_grpc_prefix(outgoing.message);
  send(std::move(outgoing));
}

void StreamInferCall::on_half_close() {
  half_closed_ = true;
  if (turns_.empty()) finish(GrpcStatus::kOk, {});
}

void StreamInferCall::on_abandoned() {
  for (std::size_t i = 0; i < turns_.size(); ++i) {
    if (!turns_[i].answered) abandon(first_number_ + static_cast<std::uint32_t>(i));
  }
  turns_.clear();
  unsent_.gone();
}

}  // namespace naiad
