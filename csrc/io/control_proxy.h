#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/bridge.h"
#include "io/control_message.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "memory/buffer.h"
#include "memory/tensor_pool.h"
#include "protocol/http1.h"

namespace naiad {

// A whole request for the control plane.
struct ControlRequest {
  std::string head;  // as append_control_request_head writes it
  std::span<const std::byte> body;
  BufferRef body_owner;
  bool repeatable = false;  // may be sent again when the kept connection turns out to be closed
  ClientFraming client;
};

// The way of one client's control requests to Python's HTTP server: a socket pair that is made for the first
// of them and kept for the next. One request at a time. I/O thread.
class ControlProxy final : private Stream::User {
 public:
  // Who asked.
  class Client {
   public:
    virtual ~Client() = default;
    // Bytes of the answer, framed for the client.
    virtual void on_relayed(std::string bytes) = 0;
    // All of the answer has been given to on_relayed().
    virtual void on_relay_end(bool keep_alive) = 0;
    // The control plane has read the request and leaves it to the core to answer: `message` is a TextFrame of
    // `frame_bytes`, and behind it the request of the model, as decode_generate reads it.
    virtual void on_handed_over(std::string message, std::size_t frame_bytes) = 0;
    // There will be no (more) answer. `begun`: part of it has been relayed.
    virtual void on_relay_failed(bool begun) = 0;
    // Bytes that were relayed and not yet sent.
    virtual std::size_t unsent_bytes() const = 0;
  };

  ControlProxy(EventLoop& loop, Bridge& bridge, TensorPool& pool, Client& client);
  ~ControlProxy() override;
  ControlProxy(const ControlProxy&) = delete;
  ControlProxy& operator=(const ControlProxy&) = delete;

  // Sends the request; the client's calls may come from within. None is under way.
  void forward(ControlRequest request);
  // The client's connection has taken what was relayed: goes on.
  void resume();
  // Whether it holds descriptors and memory for the next request.
  bool is_connected() const { return upstream_ != nullptr; }
  // Of the answer that was relayed last.
  int status() const { return head_.status; }
  // The client is gone, or has long asked nothing: closes the connection, so that Python cancels what it does
  // for it. No more calls.
  void close();

 private:
  enum class State : unsigned char { kIdle, kHead, kBody };

  void on_input() override;
  void on_sent() override {}
  void on_gone() override;

  void connect();
  void send();
  // Takes what there is of the answer apart; false when more must come first.
  bool step();
  bool read_head();
  bool read_frame_bytes(std::string_view field);
  bool read_body();
  void add_body(std::span<const std::byte> data);
  // Consumes and relays; ends the body when it is complete.
  void flush();
  void end_answer();
  void fail();
  // Lets go of the connection; it is destroyed when none of its calls is on the stack.
  void drop();

  EventLoop& loop_;
  Bridge& bridge_;
  TensorPool& pool_;
  Client& client_;
  std::unique_ptr<Stream> upstream_;
  std::vector<std::unique_ptr<Stream>> dropped_;
  int depth_ = 0;  // calls of a stream that are on the stack

  State state_ = State::kIdle;
  ControlRequest request_;
  bool reused_ = false;  // the connection has answered a request before this one
  bool begun_ = false;
  bool reusable_ = false;  // after this answer
  Http1Limits limits_;
  Http1Head head_;
  std::size_t scanned_ = 0;
  RelayFraming framing_ = RelayFraming::kNone;
  std::size_t left_bytes_ = 0;
  std::optional<std::size_t> frame_bytes_;  // the answer is a request that is handed over
  std::optional<ChunkedReader> chunks_;
  std::string out_;  // framed, not yet relayed
};

}  // namespace naiad
