#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "io/receive_block.h"
#include "io/send_queue.h"
#include "io/stream.h"

namespace naiad {

// What epoll says of a connection that ends.
inline constexpr std::uint32_t kStreamEnding = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

// The inside of a Stream: what it holds, and how it moves bytes. For stream.cc and stream_state.cc alone.
struct Stream::State {
  State(Stream& owner, EventLoop& event_loop, std::unique_ptr<Transport> byte_transport, TensorPool& pool,
        User& told)
      : stream(owner), loop(event_loop), user(told), transport(std::move(byte_transport)), input(pool) {}

  bool reads() const { return !paused && !starved && !closing && !closed && !gone_due; }
  bool settle(bool tell_gone);
  void settle_outside();
  bool fill(bool ended);
  std::size_t make_room(std::array<iovec, 2>& into);
  void receive(std::size_t size_bytes);
  void await();
  void flush();
  void linger();
  void discard(bool ended);
  void starve();
  void continue_soon();
  void retry();
  std::uint32_t wanted() const;
  void update_interest(bool drop_input);
  void finish();

  Stream& stream;
  EventLoop& loop;
  User& user;
  std::unique_ptr<Transport> transport;
  ReceiveBlock input;
  SendQueue output;

  BufferRef target;  // of receive_into()
  std::size_t filled = 0;
  std::size_t awaited = 1;  // what the transport was asked to wait for

  std::uint32_t interest = 0;               // what epoll watches for
  std::uint32_t write_wait = 0;             // EPOLLIN or EPOLLOUT: a write waits for that
  std::unique_ptr<EventLoop::Timer> timer;  // to linger, or to try again for memory; few streams need one
  std::shared_ptr<Stream*> posted;          // the stream, for tasks that may outlive it; few need one
  bool* destroyed = nullptr;                // on the stack of settle(): set when the user destroys the stream

  bool started = false;
  bool closed = false;
  bool paused = false;
  bool held = false;       // not watched until resume()
  bool starved = false;    // no memory to receive into
  bool closing = false;    // after close_after_sent()
  bool lingering = false;  // all is sent, the sending side is shut
  bool receiving = false;
  bool read_wants_write = false;  // TLS
  bool telling = false;           // a call of the user is under way
  bool input_due = false;         // what the user has to be told
  bool sent_due = false;
  bool gone_due = false;
};

}  // namespace naiad
