#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "echo_model.h"
#include "http_client.h"
#include "io/http_session.h"

namespace naiad::test {

// A plain transport that gives and takes at most so many bytes at a time.
class NarrowTransport final : public Transport {
 public:
  NarrowTransport(int fd, std::size_t max_bytes) : plain_(make_plain_transport(fd)), max_bytes_(max_bytes) {}

  int fd() const override { return plain_->fd(); }
  Moved read(std::span<std::byte> into) override {
    return plain_->read(into.first(std::min(into.size(), max_bytes_)));
  }
  Moved scatter(std::span<const iovec> into) override {
    return read({static_cast<std::byte*>(into.front().iov_base), into.front().iov_len});
  }
  Moved write(std::span<const iovec> pieces) override {
    const iovec first{pieces.front().iov_base, std::min(pieces.front().iov_len, max_bytes_)};
    return plain_->write({&first, 1});
  }
  Outcome shut_sending() override { return plain_->shut_sending(); }
  const char* protocol() const override { return plain_->protocol(); }
  // The rest of what was asked for may still be in the socket, which epoll says again.
  bool may_hold_input() const override { return plain_->may_hold_input(); }

 private:
  std::unique_ptr<Transport> plain_;
  const std::size_t max_bytes_;
};

// One I/O thread with HTTP sessions over socket pairs, and the engine behind it.
class SessionHouse {
 public:
  static constexpr std::size_t kWide = std::size_t{1} << 30;

  explicit SessionHouse(DataPlaneOptions given = {}, std::size_t pool_bytes = 256 << 20)
      : echo(pool_bytes), options(std::move(given)), bytes(options.max_in_flight_bytes) {
    thread_ = std::thread([this] {
      loop.run();
      sessions_.clear();
    });
  }
  ~SessionHouse() {
    echo.gate.open();
    loop.stop();
    thread_.join();
  }

  // A client of a new session.
  HttpClient connect(std::size_t max_bytes = kWide) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    on_loop([&] {
      auto session = make_http_session(context, std::make_unique<NarrowTransport>(ends[0], max_bytes));
      Session* const key = session.get();
      sessions_.emplace(key, std::move(session));
    });
    return HttpClient(ends[1]);
  }
  // Runs it on the I/O thread. Blocks.
  void on_loop(const std::function<void()>& task) {
    std::promise<void> done;
    loop.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void drain() {
    on_loop([&] {
      stopping = true;
      std::vector<Session*> all;
      for (const auto& [session, owned] : sessions_) all.push_back(session);
      for (Session* session : all) session->drain();
    });
  }
  std::size_t num_sessions() {
    std::size_t count = 0;
    on_loop([&] { count = sessions_.size(); });
    return count;
  }

  EchoEngine echo;
  Bridge bridge;
  const DataPlaneOptions options;
  Budget bytes;
  std::atomic<bool> stopping{false};
  SteadyClock clock;
  EventLoop loop{clock};
  InFlight in_flight{loop};
  CodingThread coding{loop, "code"};
  EdgeCounts counts;
  SessionContext context{
      loop,
      echo.engine,
      in_flight,
      bridge,
      echo.engine.pool(),
      bytes,
      options,
      stopping,
      coding,
      [this](Session& session) { loop.post([this, &session] { sessions_.erase(&session); }); },
      counts};

 private:
  std::unordered_map<Session*, std::unique_ptr<Session>> sessions_;
  std::thread thread_;
};

}  // namespace naiad::test
