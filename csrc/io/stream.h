#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "io/event_loop.h"
#include "io/transport.h"
#include "memory/buffer.h"
#include "memory/tensor_pool.h"
#include "protocol/wire_message.h"

namespace naiad {

// Bytes on their way out: pieces of text and views of tensors, and whatever keeps the views alive.
struct Outgoing {
  WireMessage message;
  std::shared_ptr<void> owner;  // dropped when the last byte has been handed to the kernel
};

// A connected byte stream driven by an EventLoop. Receives into pool blocks which requests can share, sends
// gather lists with writev. An idle stream holds no block. I/O thread.
class Stream final : private EventLoop::Watcher {
 public:
  // Who uses the stream. Each call may destroy the stream only through close_soon().
  class User {
   public:
    virtual ~User() = default;
    // There are new bytes in input(), or the block given to receive_into() is full.
    virtual void on_input() = 0;
    // All that was sent has been handed to the kernel (called once per time the queue runs empty).
    virtual void on_sent() = 0;
    // The other side has gone, or the connection broke: no more calls come after this one.
    virtual void on_gone() = 0;
  };

  // Takes over `transport`. The user outlives the stream.
  Stream(EventLoop& loop, std::unique_ptr<Transport> transport, TensorPool& pool, User& user);
  ~Stream() override;

  // Starts to watch. The first on_input() may come from within.
  void start();

  // What has been received and not consumed, contiguous.
  std::span<const std::byte> input() const;
  // A share of the block that input() lies in: views into input() stay valid as long as it lives.
  BufferRef input_owner() const;
  void consume(std::size_t size_bytes);

  // The next `block.size_bytes() - filled` bytes are received straight into `block` from `filled` on, without
  // passing input() (what input() holds already is moved there first); then on_input() is called once, with
  // receiving() false again. For large bodies of known length.
  void receive_into(BufferRef block, std::size_t filled);
  bool receiving() const;
  std::size_t received_bytes() const;  // of the block so far

  // Stops and resumes reading from the socket (back-pressure). The other side's going is still noticed.
  void pause();
  void resume();

  // Queues bytes and sends as much as the socket takes now.
  void send(Outgoing outgoing);
  // Bytes queued and not yet handed to the kernel.
  std::size_t unsent_bytes() const;

  // Sends what is queued, then shuts down and calls on_gone(). Input is ignored from now on.
  void close_after_sent();
  // Closes now, dropping what is queued; on_gone() is not called.
  void close();
  bool closed() const;

 private:
  struct State;
  void on_events(std::uint32_t events) override;
  std::unique_ptr<State> state_;
};

}  // namespace naiad
