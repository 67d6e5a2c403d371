#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "fakes/heap_pool.h"
#include "io/event_loop.h"
#include "io/stream.h"
#include "io/transport.h"

namespace naiad::test {

// Runs the loop for some rounds: all that is ready at each is delivered.
inline void run_rounds(EventLoop& loop, int count = 3) {
  std::function<void()> next = [&] {
    if (--count <= 0) {
      loop.stop();
    } else {
      loop.post(next);
    }
  };
  loop.post(next);
  loop.run();
}

// A connected pair of sockets; both ends do not block.
struct SocketPair {
  SocketPair() {
    std::array<int, 2> fds{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0);
    near = fds[0];
    far = fds[1];
  }
  ~SocketPair() {
    close_far();
    if (near >= 0) ::close(near);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;

  int take_near() { return std::exchange(near, -1); }
  void close_far() {
    if (far >= 0) ::close(std::exchange(far, -1));
  }
  // From the far end, as the other side.
  void write(std::string_view text) const {
    REQUIRE(::send(far, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  std::size_t write_some(std::string_view text) const {
    const ssize_t count = ::send(far, text.data(), text.size(), MSG_NOSIGNAL);
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  // What is there; `ended` when the stream has.
  std::string read(bool* ended = nullptr) const {
    std::string got;
    std::array<char, 65536> some;
    ssize_t count = 0;
    while ((count = ::recv(far, some.data(), some.size(), 0)) > 0)
      got.append(some.data(), static_cast<std::size_t>(count));
    if (ended != nullptr) *ended = count == 0;
    return got;
  }

  int near = -1;
  int far = -1;
};

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline Outgoing outgoing(std::string_view text, std::shared_ptr<void> owner = nullptr) {
  Outgoing made;
  made.message.text() = text;
  made.owner = std::move(owner);
  return made;
}

// Bytes that show where they stand in a stream.
inline std::string pattern(std::size_t size_bytes, std::size_t from = 0) {
  std::string made(size_bytes, '\0');
  for (std::size_t i = 0; i < size_bytes; ++i) {
    const std::size_t at = from + i;
    made[i] = static_cast<char>((at * 31 + at / 251 + at / 65'521) & 0xff);
  }
  return made;
}

// A user that counts its calls and does what the test says.
struct RecordingUser : Stream::User {
  void on_input() override {
    ++inputs;
    depth_check(input);
  }
  void on_sent() override {
    ++sents;
    depth_check(sent);
  }
  void on_gone() override {
    ++gones;
    depth_check(gone);
  }
  // A copy is called: it may end the test's object. Calls must not nest.
  void depth_check(const std::function<void()>& what) {
    CHECK_FALSE(inside);
    if (!what) return;
    const std::function<void()> called = what;
    inside = true;
    called();
    inside = false;
  }

  int inputs = 0;
  int sents = 0;
  int gones = 0;
  bool inside = false;
  std::function<void()> input;
  std::function<void()> sent;
  std::function<void()> gone;
};

// A plain transport that moves at most so many bytes a call, and counts the calls.
class ChoppyTransport final : public Transport {
 public:
  ChoppyTransport(int fd, std::function<std::size_t()> most)
      : inner_(make_plain_transport(fd)), most_(std::move(most)) {}
  int fd() const override { return inner_->fd(); }
  Moved read(std::span<std::byte> into) override {
    ++reads;
    const std::size_t most = most_();
    if (most == 0) return {Outcome::kWantRead};
    return inner_->read(into.first(std::min(into.size(), most)));
  }
  Moved write(std::span<const iovec> pieces) override {
    ++writes;
    const std::size_t most = most_();
    if (most == 0) return {Outcome::kWantWrite};
    const iovec first{pieces.front().iov_base, std::min(pieces.front().iov_len, most)};
    return inner_->write({&first, 1});
  }
  bool may_hold_input() const override { return false; }
  const char* protocol() const override { return "choppy"; }

  int reads = 0;
  int writes = 0;

 private:
  std::unique_ptr<Transport> inner_;
  std::function<std::size_t()> most_;
};

// A stream on one end of a socket pair, over a heap pool and a clock that stands still.
struct StreamKit {
  void start(std::unique_ptr<Transport> transport = nullptr) {
    if (transport == nullptr) transport = make_plain_transport(pair.take_near());
    stream = std::make_unique<Stream>(loop, std::move(transport), pool, user);
    stream->start();
  }
  void start_choppy(std::function<std::size_t()> most) {
    auto made = std::make_unique<ChoppyTransport>(pair.take_near(), std::move(most));
    choppy = made.get();
    start(std::move(made));
  }
  std::string take_input() {
    const std::string text(text_of(stream->input()));
    stream->consume(text.size());
    return text;
  }

  FakeClock clock;
  HeapPool pool;
  EventLoop loop{clock};
  SocketPair pair;
  RecordingUser user;
  ChoppyTransport* choppy = nullptr;
  std::unique_ptr<Stream> stream;
};

}  // namespace naiad::test
