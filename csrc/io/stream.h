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
  // Who uses the stream. From within each call it may use every method of the stream, and destroy it. Calls
  // do not nest: what a method that is used from within a call gives rise to is told after that call has
  // returned.
  class User {
   public:
    virtual ~User() = default;
    // There are new bytes in input(), or the block given to receive_into() is full.
    virtual void on_input() = 0;
    // All that was sent has been handed to the kernel (called once per time the queue runs empty). From
    // within send(), when that is used outside a call and the socket takes all at once.
    virtual void on_sent() = 0;
    // The other side has gone, or the connection broke: no more calls come after this one, the stream is
    // closed. Never from within a method. A client that has shut its sending side down counts as gone: over
    // TCP it looks like one that will not read either, and to notice those is what saves the work. What it
    // sent before is still received first, unless the stream is paused.
    virtual void on_gone() = 0;
  };

  // Takes over `transport`. The user outlives the stream.
  Stream(EventLoop& loop, std::unique_ptr<Transport> transport, TensorPool& pool, User& user);
  ~Stream() override;

  // Starts to watch. Throws Error(kUnavailable) when the kernel refuses.
  void start();

  // What has been received and not consumed, contiguous. Its bytes stay where they are until the call returns
  // in which it was asked for; longer only with input_owner(). It grows until it is consumed: bounding it, by
  // pause() or close(), is the user's part.
  std::span<const std::byte> input() const;
  // A share of the block that input() lies in: views into input() stay valid as long as it lives. Empty when
  // input() is.
  BufferRef input_owner() const;
  void consume(std::size_t size_bytes);

  // The next `block.size_bytes() - filled` bytes are received straight into `block` from `filled` on, without
  // passing input() (what input() holds already is moved there first); then on_input() is called once, with
  // receiving() false again: from within, when input() held enough and this is not used in a call. What
  // follows the block's bytes is found in input() then. For large bodies of known length.
  void receive_into(BufferRef block, std::size_t filled);
  bool receiving() const;
  // Of the block so far, and what has arrived for it and not been read.
  std::size_t received_bytes() const;

  // Stops and resumes reading from the socket (back-pressure). The other side's going is still noticed. What
  // input() holds already is not told again after resume().
  void pause();
  void resume();
  // As pause(), but nothing at all is noticed or sent until resume(): what the other side sent before it went
  // is still received then.
  void hold();

  // Queues bytes and sends as much as the socket takes now. Dropped after close() and close_after_sent().
  void send(Outgoing outgoing);
  // Bytes queued and not yet handed to the kernel.
  std::size_t unsent_bytes() const;

  // Sends what is queued, then shuts the sending side down, drops what still comes in until the other side
  // has closed too (at most a second: closing at once could reset the connection and lose what was sent, RFC
  // 9112, section 9.6), and calls on_gone(). Input is ignored from now on.
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
