#pragma once

#include <deque>

#include "io/grpc_call.h"
#include "io/unsent_responses.h"

namespace naiad {

// ModelStreamInfer: many requests, their answers in the order of the requests; but the responses of decoupled
// models as they come, in their order for each request. A request that fails is a message too, unless the
// client asked for strict errors: then the first failure ends the call. I/O thread.
class StreamInferCall final : public GrpcCall {
 public:
  StreamInferCall(GrpcConnection& connection, GrpcHead& head, std::size_t max_waiting);

  void on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response) override;
  void on_response(std::uint32_t number, const Request& request, Response response) override;

 private:
  // A request, from its arrival until its answer has been sent behind those before it.
  struct Turn {
    Budget::Share share;
    bool answered = false;
    bool decoupled = false;  // waits for no other
    Status status;
    std::string id;                  // of a request that failed
    std::shared_ptr<Trace> trace{};  // null: it is not traced
    std::deque<Outgoing> out;        // what it was answered with
  };

  void on_message(GrpcMessage message) override;
  bool may_begin() const override;
  void on_half_close() override;
  void on_abandoned() override;
  void on_sent() override;

  // Encodes what is sent for a response: its messages, or why there are none. `waits`: it is not sent before
  // this returns to whoever owns the response.
  static Status encode(const Request& request, Response& response, bool is_final, bool waits,
                       std::deque<Outgoing>& out);
  // Sends the answers whose turn it is.
  void advance();
  // Sends what a turn was answered with; false when that ended the call.
  bool send_turn(Turn& turn);
  void send_error(const Status& status, std::string_view id);

  const std::size_t max_waiting_;
  const bool strict_;
  bool half_closed_ = false;
  std::deque<Turn> turns_;
  UnsentResponses unsent_;
  std::uint32_t first_number_ = 0;  // of turns_.front(); counts on, and around
};

}  // namespace naiad
