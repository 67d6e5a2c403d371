#pragma once

namespace naiad {

// An eventfd: a descriptor that epoll reports as readable from signal() until reset().
class EventFd {
 public:
  // Throws Error(kUnavailable) when the process is out of descriptors. Any thread.
  EventFd();
  ~EventFd();
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;

  int fd() const { return fd_; }
  // Any thread; a system call that never blocks.
  void signal() noexcept;
  // Any thread; a system call that never blocks.
  void reset() noexcept;

 private:
  int fd_;
};

}  // namespace naiad
