#include "io/stream_infer_call.h"

#include <utility>

#include "protocol/v2_grpc.h"

namespace naiad {
namespace {

// A client that does not read its answers is not read either.
constexpr std::size_t kMaxUnsentBytes = 1UL << 20;

}  // namespace

StreamInferCall::StreamInferCall(GrpcConnection& connection, const GrpcHead& head, std::size_t max_waiting)
    : GrpcCall(connection, head), max_waiting_(max_waiting), strict_(head.strict_errors()) {}

bool StreamInferCall::may_begin() const {
  return turns_.size() < max_waiting_ && unsent_bytes() < kMaxUnsentBytes;
}

void StreamInferCall::on_message(GrpcMessage message) {
  const std::uint32_t number = first_number_ + static_cast<std::uint32_t>(turns_.size());
  Turn& turn = turns_.emplace_back();
  turn.status = submit(message, number, turn.id);
  turn.share = std::move(message.share);
  turn.answered = !turn.status.ok();
  if (turn.answered) advance();
}

void StreamInferCall::on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response) {
  Turn& turn = turns_[number - first_number_];
  turn.answered = true;
  Outgoing body;
  turn.status = encode_v2_grpc(*request, response, body.message);
  if (turn.status.ok()) {
    append_final_mark(body.message);
    const std::size_t size_bytes = body.message.size_bytes();
    std::string wrap;
    append_stream_head(wrap, size_bytes);
    Outgoing head;
    reserve_grpc_prefix(head.message);
    head.message.text() += wrap;
    head.message.end_text();
    write_grpc_prefix(std::span<char, kGrpcPrefixBytes>(head.message.text().data(), kGrpcPrefixBytes), false,
                      wrap.size() + size_bytes);
    if (size_bytes > H2Connection::kCopyBytes) body.owner = std::make_shared<Response>(std::move(response));
    turn.out.push_back(std::move(head));
    turn.out.push_back(std::move(body));
  } else {
    turn.id = request->id;
  }
  advance();
}

void StreamInferCall::advance() {
  while (!turns_.empty() && turns_.front().answered && !done()) {
    Turn turn = std::move(turns_.front());
    turns_.pop_front();
    ++first_number_;
    if (turn.status.ok()) {
      for (Outgoing& part : turn.out) send(std::move(part));
    } else if (strict_) {
      on_abandoned();
      finish(grpc_status(turn.status.code()), turn.status.message());
    } else {
      send_error(turn);
    }
  }
  if (half_closed_ && turns_.empty()) finish(GrpcStatus::kOk, {});
  if (!done()) resume();
}

void StreamInferCall::send_error(const Turn& turn) {
  Outgoing outgoing;
  reserve_grpc_prefix(outgoing.message);
  append_stream_error(outgoing.message.text(), turn.status.message(), turn.id);
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
}

}  // namespace naiad
