#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <utility>

#include "http_client.h"
#include "tls_client.h"

namespace naiad::test {

// Lets clients that know no TLS speak over it: what is written to fd() goes encrypted to a port of this
// machine and back.
class TlsTunnel {
 public:
  TlsTunnel(std::uint16_t port, const TlsClientOptions& options) : client_(options) {
    std::array<int, 2> ends{};
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    plain_ = ends[0];
    near_ = ends[1];
    far_ = HttpClient::try_connect(port);
    REQUIRE(far_ >= 0);
    while (!client_.shake() && client_.failure().empty() && !over_) {
      push();
      pull();
    }
    push();
    done_ = client_.shake();
    thread_ = std::thread([this] { pump(); });
  }
  ~TlsTunnel() {
    if (near_ >= 0) ::close(near_);
    thread_.join();
    ::close(plain_);
    ::close(far_);
  }
  TlsTunnel(const TlsTunnel&) = delete;
  TlsTunnel& operator=(const TlsTunnel&) = delete;

  // The plain end, the caller's to close.
  int take_fd() { return std::exchange(near_, -1); }
  bool done() const { return done_; }
  std::string server_name() const { return client_.server_name(); }

 private:
  void push() {
    const std::string out = client_.take_outgoing();
    for (std::size_t at = 0; at < out.size();) {
      const ssize_t count = ::send(far_, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (count <= 0) return;
      at += static_cast<std::size_t>(count);
    }
  }
  void pull() {
    std::array<char, 16384> some;
    const ssize_t count = ::recv(far_, some.data(), some.size(), 0);
    over_ = count <= 0;
    if (count > 0) client_.give({some.data(), static_cast<std::size_t>(count)});
  }
  // Until both ends have ended.
  void pump() {
    std::array<pollfd, 2> ends{pollfd{plain_, POLLIN, 0}, pollfd{far_, POLLIN, 0}};
    while (!over_) {
      const std::string in = client_.read();
      if (!in.empty()) static_cast<void>(::send(plain_, in.data(), in.size(), MSG_NOSIGNAL));
      poll(ends.data(), ends.size(), -1);
      if (ends[0].revents != 0) {
        std::array<char, 16384> some;
        const ssize_t count = ::recv(plain_, some.data(), some.size(), 0);
        if (count > 0) client_.write({some.data(), static_cast<std::size_t>(count)});
        if (count <= 0) {
          client_.say_goodbye();
          ends[0].fd = -1;
        }
        push();
        if (count <= 0) ::shutdown(far_, SHUT_WR);
      }
      if (ends[1].revents != 0) pull();
    }
    const std::string in = client_.read();
    if (!in.empty()) static_cast<void>(::send(plain_, in.data(), in.size(), MSG_NOSIGNAL));
    ::shutdown(plain_, SHUT_RDWR);
  }

  TlsClient client_;
  int plain_ = -1;
  int near_ = -1;
  int far_ = -1;
  bool over_ = false;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace naiad::test
