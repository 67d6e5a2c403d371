#include "io/stream_state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

namespace naiad {
namespace {

using Outcome = Transport::Outcome;

// What one stream may do before the others have their turn.
constexpr int kMaxReads = 8;
constexpr std::size_t kMaxReadBytes = std::size_t{1} << 20;
constexpr int kMaxWrites = 8;
constexpr int kMaxSentCalls = 8;
constexpr std::size_t kMaxPieces = 64;
// Of a block that is being received: what is waited for in one piece.
constexpr std::size_t kLeastAwaitedBytes = std::size_t{64} << 10;
constexpr std::size_t kMostAwaitedBytes = std::size_t{256} << 10;

constexpr std::uint64_t kNoMemoryRetryNs = 10'000'000;
constexpr std::uint64_t kLingerNs = 1'000'000'000;
// For a last word that has to wait until the other side takes what was sent before.
constexpr std::uint64_t kShutNs = 30'000'000'000;

}  // namespace

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

// A long rest of the user's block is of no use in small parts: fewer wake-ups bring it.
void Stream::State::await() {
  const std::size_t left = receiving ? target->size_bytes() - filled : 1;
  const std::size_t bytes = left < kLeastAwaitedBytes ? 1 : std::min(left, kMostAwaitedBytes);
  if (bytes != std::exchange(awaited, bytes)) transport->await_bytes(bytes);
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
    std::array<iovec, 2> into{};
    const std::size_t count = make_room(into);
    if (count == 0) {
      starve();
      return true;
    }
    std::size_t room_bytes = 0;
    for (std::size_t i = 0; i < count; ++i) room_bytes += into[i].iov_len;
    const auto moved = count == 1
                           ? transport->read({static_cast<std::byte*>(into[0].iov_base), into[0].iov_len})
                           : transport->scatter({into.data(), count});
    read_wants_write = moved.outcome == Outcome::kWantWrite;
    switch (moved.outcome) {
      case Outcome::kMoved:
        total_bytes += moved.size_bytes;
        receive(moved.size_bytes);
        await();
        if (input_due && !settle(true)) return false;
        if (!reads()) return true;
        await();  // the user may have begun on another block
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
    std::array<iovec, kMaxPieces> pieces{};
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
  if (!std::exchange(lingering, true)) {
    input.clear();
    timer = std::make_unique<EventLoop::Timer>(loop, [this] {
      gone_due = true;
      settle(true);
    });
  }
  if (transport->shut_sending() == Outcome::kWantWrite) {
    write_wait = EPOLLOUT;
    timer->arm(kShutNs);
  } else {
    timer->arm(kLingerNs);
  }
}

// Drops what still comes in.
void Stream::State::discard(bool ended) {
  std::array<std::byte, std::size_t{16} << 10> dropped{};
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

}  // namespace naiad
