#pragma once

#include <deque>

#include "io/grpc_call.h"

namespace naiad {

// ModelStreamInfer: many requests, their answers in the order of the requests. A request that fails is a
// message too, unless the client asked for strict errors: then the first failure ends the call. I/O thread.
class StreamInferCall final : public GrpcCall {
 public:
  StreamInferCall(GrpcConnection& connection, const GrpcHead& head, std::size_t max_waiting);

  void on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response) override;

 private:
  // A request, from its arrival until its answer has been sent behind those before it.
  struct Turn {
    Budget::Share share;
    bool answered = false;
    Status status;
    std::string id;            // of a request that failed
    std::deque<Outgoing> out;  // what it was answered with
  };

  void on_message(GrpcMessage message) override;
  bool may_begin() const override;
  void on_half_close() override;
  void on_abandoned() override;
  void on_sent() override { resume(); }

  // Sends the answers whose turn it is.
  void advance();
  void send_error(const Turn& turn);

  const std::size_t max_waiting_;
  const bool strict_;
  bool half_closed_ = false;
  std::deque<Turn> turns_;
  std::uint32_t first_number_ = 0;  // of turns_.front(); counts on, and around
};

}  // namespace naiad
