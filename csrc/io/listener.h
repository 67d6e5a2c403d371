#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/data_plane.h"
#include "io/event_loop.h"

namespace naiad {

// A file descriptor that is closed with its owner.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedFd();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// The listening sockets of one protocol, one per address that its name stands for. Any thread, in order.
struct ListeningSockets {
  std::vector<OwnedFd> fds;
  std::uint16_t port = 0;
};

// Throws Error(kUnavailable) when the address or the port cannot be had. Blocks while a name is looked up.
ListeningSockets listen_on(const ListenOptions& options);

// Accepts what connects to one listening socket, until it is destroyed. When the process is out of
// descriptors, the first that waits is closed by means of a descriptor kept for that (it learns at once that
// it is not served), and no more are accepted for 100 ms. I/O thread.
class Listener final : private EventLoop::Watcher {
 public:
  // `accepted` is given each new connection: not blocking, without Nagle's delay.
  Listener(EventLoop& loop, OwnedFd socket, std::function<void(OwnedFd)> accepted);
  ~Listener() override;

  // Accepts all that have connected by now: closing the socket would reset them, and what they asked.
  void accept_all();

 private:
  void on_events(std::uint32_t events) override;
  // Whether there may be another one at once.
  bool accept_one();
  void wait_for_descriptors();

  EventLoop& loop_;
  OwnedFd socket_;
  OwnedFd spare_;
  std::function<void(OwnedFd)> accepted_;
  EventLoop::Timer retry_;
};

}  // namespace naiad
