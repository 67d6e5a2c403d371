#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "io/bridge.h"
#include "queue/event_fd.h"

namespace naiad::test {

// The control plane's HTTP server, played: takes connections from the bridge and answers each request with
// the bytes that a script gives.
class ControlFake {
 public:
  struct Seen {
    std::string head;
    std::string body;
    int connection = 0;
    int request = 0;  // of its connection
  };
  // What is answered; empty: nothing, and the connection is closed. A reply that begins with '!' is sent
  // without it, and the connection closed then.
  using Script = std::function<std::string(const Seen&)>;

  ControlFake(Bridge& bridge, Script script) : bridge_(bridge), script_(std::move(script)) {
    threads_.emplace_back([this] { take_connections(); });
  }
  ~ControlFake() {
    stopped_ = true;
    wake_.signal();
    threads_.front().join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : fds_) shutdown(fd, SHUT_RDWR);
    }
    for (auto& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    for (const int fd : fds_) close(fd);
  }

  int num_connections() const { return num_connections_; }
  // Connections that the other side has closed.
  int num_closed() const { return num_closed_; }
  std::vector<Seen> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  void take_connections() {
    while (!stopped_) {
      pollfd waiting[2] = {{bridge_.fd(), POLLIN, 0}, {wake_.fd(), POLLIN, 0}};
      poll(waiting, 2, -1);
      std::vector<BridgeItem> items;
      bridge_.drain(items);
      for (auto& item : items) {
        const int fd = std::get<ControlConnection>(item).fd;
        make_blocking(fd);
        const int number = ++num_connections_;
        const std::lock_guard lock(mutex_);
        fds_.push_back(fd);
        threads_.emplace_back([this, fd, number] { serve(fd, number); });
      }
    }
  }

  static void make_blocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); }

  void serve(int fd, int number) {
    std::string held;
    for (int count = 1; !stopped_; ++count) {
      Seen seen;
      seen.connection = number;
      seen.request = count;
      std::size_t end = std::string::npos;
      while ((end = held.find("\r\n\r\n")) == std::string::npos) {
        if (!receive(fd, held)) return;
      }
      seen.head = held.substr(0, end);
      held.erase(0, end + 4);
      const std::size_t at = seen.head.find("Content-Length: ");
      const std::size_t size =
          at == std::string::npos ? 0 : std::strtoul(seen.head.c_str() + at + 16, nullptr, 10);
      while (held.size() < size) {
        if (!receive(fd, held)) return;
      }
      seen.body = held.substr(0, size);
      held.erase(0, size);
      {
        const std::lock_guard lock(mutex_);
        seen_.push_back(seen);
      }
      std::string reply = script_(seen);
      const bool close_then = reply.empty() || reply.front() == '!';
      if (close_then && !reply.empty()) reply.erase(0, 1);
      for (std::size_t sent = 0; sent < reply.size();) {
        const ssize_t n = ::send(fd, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) break;
        sent += static_cast<std::size_t>(n);
      }
      if (close_then) {
        shutdown(fd, SHUT_RDWR);
        return;
      }
    }
  }

  bool receive(int fd, std::string& held) {
    char bytes[65536];
    const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    if (got > 0) held.append(bytes, static_cast<std::size_t>(got));
    if (got <= 0 && !stopped_) ++num_closed_;
    return got > 0;
  }

  Bridge& bridge_;
  const Script script_;
  EventFd wake_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> num_connections_{0};
  std::atomic<int> num_closed_{0};
  std::mutex mutex_;
  std::vector<Seen> seen_;
  std::vector<int> fds_;
  std::list<std::thread> threads_;
};

inline std::string control_answer(int status, const std::string& body, const std::string& fields = {}) {
  return "HTTP/1.1 " + std::to_string(status) + " Word\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}

}  // namespace naiad::test
