#pragma once

#include "io/grpc_call.h"

namespace naiad {

// ModelInfer: one request, one answer. I/O thread.
class ModelInferCall final : public GrpcCall {
 public:
  using GrpcCall::GrpcCall;

  void on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response) override;

 private:
  void on_message(GrpcMessage message) override;
  bool may_begin() const override { return true; }
  void on_half_close() override;
  void on_abandoned() override;

  std::optional<GrpcMessage> message_;  // kept until the answer: its share of the budget
  bool out_ = false;
  std::shared_ptr<Trace> trace_;  // null: it is not traced
};

}  // namespace naiad
