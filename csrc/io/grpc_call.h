#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/grpc_head.h"
#include "io/h2_connection.h"
#include "io/inflation.h"
#include "io/session.h"
#include "protocol/content_coding.h"
#include "protocol/grpc_wire.h"

namespace naiad {

// A message of a call as it arrived, and its part of the byte budget.
struct GrpcMessage {
  BufferRef block;
  std::size_t size_bytes = 0;
  Budget::Share share;
  std::size_t begin = 0;  // where in the block it lies

  std::span<const std::byte> bytes() const { return {block->data() + begin, size_bytes}; }
};

// What the calls of one connection work with. Outlives them.
struct GrpcConnection {
  SessionContext& context;
  H2Connection& h2;
  InFlight::Taker& taker;
  const std::string& peer;  // for the access log alone
};

// One gRPC call: puts messages together from DATA, answers, keeps its deadline. What a method does with its
// messages is the business of the classes derived from it. I/O thread.
class GrpcCall : public H2Stream {
 public:
  // What is kept of an inference's metadata is forwarded with each of its requests.
  GrpcCall(GrpcConnection& connection, GrpcHead& head);
  ~GrpcCall() override;

  // The answer to the request submitted under `number`.
  virtual void on_answer(std::uint32_t number, std::unique_ptr<Request> request, Response response);
  // A response to it, before its answer.
  virtual void on_response(std::uint32_t number, const Request& request, Response response);
  // Whether it waits for more bytes of a message, or for the client to take some.
  bool stalls() const { return unsent_bytes() > 0 || (!done_ && (assembling() || !held_.empty())); }
  // Whether too little of its message has come in the last stall timeout. Looked at more often, it says no.
  bool crawls(std::uint64_t now_ns);
  // Has an answer's last word been queued.
  bool done() const { return done_; }
  // Ends the call with a status; nothing more comes from it. Idempotent.
  void finish(GrpcStatus status, std::string_view message);
  // The same for a call that its method has not answered: what it has out is dropped.
  void fail(GrpcStatus status, std::string_view message);

 protected:
  // A message is complete.
  virtual void on_message(GrpcMessage message) = 0;
  // Whether another message may be begun; resume() when that has changed to true.
  virtual bool may_begin() const = 0;
  // The client has said all, and all of it was given to on_message().
  virtual void on_half_close() = 0;
  // The call has ended before it was finished by its method: client gone, deadline, a broken message.
  virtual void on_abandoned() = 0;

  void resume();
  // What is known of a request that was submitted.
  struct Submitted {
    std::string id;                // on failure, as far as known
    bool decoupled = false;        // of who can take many responses: whether its model gives them
    std::shared_ptr<Trace> trace;  // null: it is not traced
  };
  // Decodes the message and queues it as request `number`. `refusal_of_many`: see Request.
  Status submit(GrpcMessage& message, std::uint32_t number, std::string_view refusal_of_many,
                Submitted& submitted);
  // Drops the answer to request `number`.
  void abandon(std::uint32_t number);
  void send(Outgoing&& message) { connection_.h2.send(*this, std::move(message)); }

  SessionContext& context() const { return connection_.context; }
  std::uint64_t deadline_ns() const { return deadline_ns_; }

  void on_open() override;
  void on_sent() override {}

 private:
  void on_data(std::span<const std::byte> data) final;
  void on_end() final;
  void on_closed() final;

  bool assembling() const { return prefix_.begun(); }
  // Puts messages together; says how many bytes it took.
  std::size_t assemble(std::span<const std::byte> data);
  // `data` follows the prefix.
  void begin_message(std::span<const std::byte> data);
  void complete_message();
  void inflate(GrpcMessage message);
  void hold(std::span<const std::byte> data);
  void say_half_close();
  void on_deadline();
  // Counts and logs how it ended.
  void tell(GrpcStatus status);
  std::uint64_t mark(std::uint32_t number) const;
  bool is_decoupled(const Request& request) const;
  std::shared_ptr<Trace> start_trace(const Request& request) const;

  GrpcConnection& connection_;
  ContentCoding coding_ = ContentCoding::kIdentity;
  bool unknown_coding_ = false;
  std::uint64_t deadline_ns_ = 0;
  bool bad_timeout_ = false;
  const std::string trace_parent_;
  const std::string trace_state_;
  std::uint64_t message_begun_ns_ = 0;
  std::uint64_t paced_ns_ = 0;  // when crawls() found enough, or the message was begun
  std::size_t paced_bytes_ = 0;
  const ApiGroup group_;
  const std::uint64_t begun_ns_;
  std::string path_;  // for the access log alone, as the next one
  std::string key_name_;
  ControlCall::Metadata forwarded_;
  bool ended_ = false;        // the client has said all
  bool half_closed_ = false;  // and the method knows
  bool done_ = false;
  std::optional<EventLoop::Timer> deadline_;

  GrpcPrefixReader prefix_;
  std::optional<GrpcMessage> message_;  // the one under assembly
  std::size_t filled_ = 0;
  bool in_assembly_ = false;
  Inflation inflation_;  // the next message has to wait for its end

  // What came while no message might begin. The window of the stream stays closed for it.
  std::string held_;
  std::vector<Budget::Share> held_shares_;
};

// The bytes of a prefix and a message that is encoded behind it: reserve before, complete after encoding.
void reserve_grpc_prefix(WireMessage& message);
void complete_grpc_prefix(WireMessage& message);

}  // namespace naiad
