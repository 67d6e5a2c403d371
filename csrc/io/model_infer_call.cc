#include "io/model_infer_call.h"

#include <utility>

#include "protocol/v2_grpc.h"
#include "request/trace.h"

namespace naiad {
namespace {

constexpr std::string_view kRefusalOfMany =
    "ModelInfer RPC doesn't support models with decoupled transaction policy";

}  // namespace

void ModelInferCall::on_message(GrpcMessage message) {
  if (message_) {
    finish(GrpcStatus::kUnimplemented, "ModelInfer expects one message, got more");
    return;
  }
  message_ = std::move(message);
}

void ModelInferCall::on_half_close() {
  if (!message_) {
    finish(GrpcStatus::kUnimplemented, "ModelInfer expects one message, got none");
    return;
  }
  Submitted submitted;
  const Status status = submit(*message_, 0, kRefusalOfMany, submitted);
  trace_ = std::move(submitted.trace);
  message_->block = {};  // the request has its own share of it
  if (status.ok()) {
    out_ = true;
  } else {
    finish(grpc_status(status.code()), status.message());
  }
}

void ModelInferCall::on_answer(std::uint32_t, std::unique_ptr<Request> request, Response response) {
  out_ = false;
  const std::shared_ptr<Trace> trace = std::move(trace_);
  if (trace) trace->mark_now(TraceMark::kInferResponseComplete);
  Outgoing outgoing;
  reserve_grpc_prefix(outgoing.message);
  const Status status = encode_v2_grpc(*request, response, outgoing.message);
  if (!status.ok()) {
    finish(grpc_status(status.code()), status.message());
    return;
  }
  complete_grpc_prefix(outgoing.message);
  // The tensors in it share the blocks that they view, the request's own too.
  if (outgoing.message.size_bytes() > H2Connection::kCopyBytes) {
    outgoing.owner = std::make_shared<Response>(std::move(response));
  }
  if (trace) trace->mark_now(TraceMark::kGrpcSendStart);
  send(std::move(outgoing));
  finish(GrpcStatus::kOk, {});
  if (trace) trace->mark_now(TraceMark::kGrpcSendEnd);
}

void ModelInferCall::on_abandoned() {
  if (std::exchange(out_, false)) abandon(0);
}

}  // namespace naiad
