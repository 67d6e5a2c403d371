#include "io/stream.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "io/receive_block.h"
#include "io/send_queue.h"

namespace naiad {
namespace {

using Outcome = Transport::Outcome;

// What one stream may do before the others have their turn.
constexpr int kMaxReads = 8;
constexpr std::size_t kMaxReadBytes = std::size_t{1} << 20;
constexpr int kMaxWrites = 8;
constexpr int kMaxSentCalls = 8;
constexpr std::size_t kMaxPieces = 64;

constexpr std::uint64_t kNoMemoryRetryNs = 10'000'000;
constexpr std::uint64_t kLingerNs = 1'000'000'000;
constexpr std::uint32_t kEnding = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

}  // namespace

struct Stream::State {
  State(Stream& owner, EventLoop& event_loop, std::unique_ptr<Transport> byte_transport, TensorPool& pool, User& told)
      : stream(owner), loop(event_loop), user(told), transport(std::move(byte_transport)), input(pool) {}

  bool reads() const { return !paused && !starved && !closing && !closed && !gone_due; }
  bool settle(bool tell_gone);
  void settle_outside();
  bool fill(bool ended);
  std::size_t make_room(std::array<iovec, 2>& into);
  void receive(std::size_t size_bytes);
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

  std::uint32_t interest = 0;  // what epoll watches for
  std::uint32_t write_wait = 0;  // EPOLLIN or EPOLLOUT: a write waits for that
  std::unique_ptr<EventLoop::Timer> timer;   // to linger, or to try again for memory; few streams need one
  std::shared_ptr<Stream*> posted;           // the stream, for tasks that may outlive it; few need one
  bool* destroyed = nullptr;                 // on the stack of settle(): set when the user destroys the stream

  bool started = false;
  bool closed = false;
  bool paused = false;
  bool held = false;              // not watched until resume()
  bool starved = false;           // no memory to receive into
  bool closing = false;           // after close_after_sent()
  bool lingering = false;         // all is sent, the sending side is shut
  bool receiving = false;
  bool read_wants_write = false;  // TLS
  bool telling = false;           // a call of the user is under way
  bool input_due = false;         // what the user has to be told
  bool sent_due = false;
  bool gone_due = false;
};

// Tells the user what is due, one call after another. False when there is no stream to go on with.
bool Stream::State::settle(bool tell_gone) {
  bool gone = false;
  destroyed = &gone;
  telling = true;
  for (int sent_calls = 0; !closed && !gone_due;) {
    if (input_due && !closing) {
      input_due = false;
      // What the user looks at stays, though it consumes it or closes the stream.
      const BufferRef kept = input.owner();
      user.on_input();
    } else if (sent_due && sent_calls < kMaxSentCalls) {
      sent_due = false;
      ++sent_calls;
      user.on_sent();
    } else {
      // Someone who sends more each time all is sent goes on in the next round.
      if (sent_due) write_wait = EPOLLOUT;
      break;
    }
    if (gone) return false;
  }
  telling = false;
  destroyed = nullptr;
  if (closed) return false;
  if (!gone_due) return true;
  if (tell_gone) {
    finish();
    user.on_gone();  // the last thing: it may destroy the stream
  } else {
    continue_soon();
  }
  return false;
}

// After a method of the stream was used: inside a call, the settle() further up does this.
void Stream::State::settle_outside() {
  if (telling || closed || !settle(false)) return;
  if (!receiving) input.trim();
  update_interest(false);
}

// Where the next bytes go: the user's block first, then the input. 0 without memory.
std::size_t Stream::State::make_room(std::array<iovec, 2>& into) {
  std::size_t count = 0;
  if (receiving) into[count++] = {target->data() + filled, target->size_bytes() - filled};
  const auto room = input.try_room();
  if (!room.empty()) into[count++] = {room.data(), room.size()};
  return count;
}

// So many bytes lie where make_room() said.
void Stream::State::receive(std::size_t size_bytes) {
  if (receiving) {
    const std::size_t taken = std::min(size_bytes, target->size_bytes() - filled);
    filled += taken;
    size_bytes -= taken;
    if (filled < target->size_bytes()) return;
    receiving = false;
    target = {};
  }
  if (size_bytes != 0) input.fill(size_bytes);
  input_due = true;
}

// Reads while there is something, within bounds. False when there is no stream to go on with.
bool Stream::State::fill(bool ended) {
  std::size_t total_bytes = 0;
  for (int reads_done = 0; reads_done < kMaxReads && total_bytes < kMaxReadBytes; ++reads_done) {
    std::array<iovec, 2> into;
    const std::size_t count = make_room(into);
    if (count == 0) {
      starve();
      return true;
    }
    std::size_t room_bytes = 0;
    for (std::size_t i = 0; i < count; ++i) room_bytes += into[i].iov_len;
    const auto moved =
        count == 1 ? transport->read({static_cast<std::byte*>(into[0].iov_base), into[0].iov_len})
                   : transport->scatter({into.data(), count});
    read_wants_write = moved.outcome == Outcome::kWantWrite;
    switch (moved.outcome) {
      case Outcome::kMoved:
        total_bytes += moved.size_bytes;
        receive(moved.size_bytes);
        if (input_due && !settle(true)) return false;
        if (!reads()) return true;
        if (moved.size_bytes < room_bytes && !ended && !transport->may_hold_input()) return true;
        break;
      case Outcome::kWantRead:
        if (!ended) return true;
        [[fallthrough]];
      case Outcome::kEnd:
      case Outcome::kBroken:
        gone_due = true;
        return settle(true);
      case Outcome::kWantWrite:
        return true;
    }
  }
  if (transport->may_hold_input()) continue_soon();  // epoll would not say so
  return true;
}

// Sends what the socket takes now.
void Stream::State::flush() {
  for (int writes = 0; write_wait == 0 && !output.empty(); ++writes) {
    if (writes == kMaxWrites) {
      write_wait = EPOLLOUT;
      return;
    }
    std::array<iovec, kMaxPieces> pieces;
    const std::size_t count = output.gather(pieces);
    const auto moved = transport->write({pieces.data(), count});
    switch (moved.outcome) {
      case Outcome::kMoved:
        output.take(moved.size_bytes);
        break;
      case Outcome::kWantRead:
        write_wait = EPOLLIN;
        return;
      case Outcome::kWantWrite:
        write_wait = EPOLLOUT;
        return;
      case Outcome::kEnd:
      case Outcome::kBroken:
        output.clear();
        gone_due = true;
        return;
    }
  }
  if (!output.empty()) return;
  if (closing) {
    linger();
  } else {
    sent_due = true;
  }
}

void Stream::State::linger() {
  if (lingering) return;
  lingering = true;
  input.clear();
  transport->shut_sending();
  timer = std::make_unique<EventLoop::Timer>(loop, [this] {
    gone_due = true;
    settle(true);
  });
  timer->arm(kLingerNs);
}

// Drops what still comes in.
void Stream::State::discard(bool ended) {
  std::array<std::byte, std::size_t{16} << 10> dropped;
  for (int reads_done = 0; reads_done < kMaxReads; ++reads_done) {
    const auto moved = transport->read(dropped);
    if (moved.outcome == Outcome::kMoved) continue;
    gone_due = ended || moved.outcome == Outcome::kEnd || moved.outcome == Outcome::kBroken;
    return;
  }
}

void Stream::State::starve() {
  starved = true;
  timer = std::make_unique<EventLoop::Timer>(loop, [this] {
    starved = false;
    retry();
  });
  timer->arm(kNoMemoryRetryNs);
}

// The next round goes on where this one stopped.
void Stream::State::continue_soon() {
  if (!posted) posted = std::make_shared<Stream*>(&stream);
  loop.post([weak = std::weak_ptr<Stream*>(posted)] {
    if (const auto found = weak.lock()) (*found)->state_->retry();
  });
}

void Stream::State::retry() {
  if (closed) return;
  if (gone_due) {
    settle(true);
  } else {
    stream.on_events(EPOLLIN);
  }
}

std::uint32_t Stream::State::wanted() const {
  std::uint32_t events = EPOLLRDHUP | write_wait;
  if (lingering || (reads() && !read_wants_write)) events |= EPOLLIN;
  if (reads() && read_wants_write) events |= EPOLLOUT;
  return events;
}

// A stream that is paused and resumed before anything comes in costs no system call: input that is not wanted
// leaves the interest only when it has been reported.
void Stream::State::update_interest(bool drop_input) {
  std::uint32_t events = wanted();
  if (!drop_input) events |= interest & EPOLLIN;
  if (!started || events == interest) return;
  interest = events;
  loop.rewatch(transport->fd(), events, stream);
}

// Ends everything but the calls to the user.
void Stream::State::finish() {
  if (std::exchange(closed, true)) return;
  if (started) loop.forget(transport->fd());
  transport.reset();
  timer.reset();
  posted.reset();
  target = {};
  receiving = false;
  input.clear();
  output.clear();
}

Stream::Stream(EventLoop& loop, std::unique_ptr<Transport> transport, TensorPool& pool, User& user)
    : state_(std::make_unique<State>(*this, loop, std::move(transport), pool, user)) {}

Stream::~Stream() {
  state_->finish();
  if (state_->destroyed != nullptr) *state_->destroyed = true;
}

void Stream::start() {
  State& state = *state_;
  state.interest = state.wanted();
  state.loop.watch(state.transport->fd(), state.interest, *this);
  state.started = true;
}

void Stream::on_events(std::uint32_t events) {
  State& state = *state_;
  const bool ended = (events & kEnding) != 0;
  if ((events & (state.write_wait | kEnding)) != 0 && state.write_wait != 0) {
    state.write_wait = 0;
    state.flush();
    if (!state.settle(true)) return;
  }
  if (state.lingering) {
    state.discard(ended);
    if (!state.settle(true)) return;
  } else if (state.reads()) {
    const bool readable = (events & EPOLLIN) != 0 || (state.read_wants_write && (events & EPOLLOUT) != 0);
    if ((readable || ended) && !state.fill(ended)) return;
  } else if (ended) {
    state.gone_due = true;
    static_cast<void>(state.settle(true));
    return;
  }
  if (!state.receiving) state.input.trim();
  state.update_interest((events & EPOLLIN) != 0);
}

std::span<const std::byte> Stream::input() const { return state_->input.bytes(); }

BufferRef Stream::input_owner() const { return state_->input.owner(); }

void Stream::consume(std::size_t size_bytes) { state_->input.consume(size_bytes); }

void Stream::receive_into(BufferRef block, std::size_t filled) {
  State& state = *state_;
  if (state.closed) return;
  const auto held = state.input.bytes();
  const std::size_t taken = std::min(held.size(), block->size_bytes() - filled);
  if (taken != 0) std::memcpy(block->data() + filled, held.data(), taken);
  state.input.consume(taken);
  state.filled = filled + taken;
  state.receiving = state.filled < block->size_bytes();
  if (state.receiving) {
    state.target = std::move(block);
    state.input.trim();
    return;
  }
  state.input_due = true;
  state.settle_outside();
}

bool Stream::receiving() const { return state_->receiving; }

std::size_t Stream::received_bytes() const { return state_->filled; }

void Stream::pause() { state_->paused = true; }

void Stream::resume() {
  State& state = *state_;
  if (!std::exchange(state.paused, false) || state.closed) return;
  if (std::exchange(state.held, false)) start();
  if (state.transport->may_hold_input()) state.continue_soon();
  if (!state.telling) state.update_interest(false);
}

void Stream::hold() {
  State& state = *state_;
  state.paused = true;
  if (state.closed || !std::exchange(state.started, false)) return;
  state.held = true;
  state.loop.forget(state.transport->fd());
}

void Stream::send(Outgoing outgoing) {
  State& state = *state_;
  if (state.closed || state.closing || state.gone_due) return;
  state.output.push(std::move(outgoing));
  state.flush();
  state.settle_outside();
}

std::size_t Stream::unsent_bytes() const { return state_->output.size_bytes(); }

void Stream::close_after_sent() {
  State& state = *state_;
  if (state.closed || std::exchange(state.closing, true)) return;
  state.receiving = false;
  state.target = {};
  if (state.gone_due) return;
  if (state.output.empty()) state.linger();
  state.settle_outside();
}

void Stream::close() { state_->finish(); }

bool Stream::closed() const { return state_->closed; }

}  // namespace naiad
