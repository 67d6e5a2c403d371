#include "queue/event_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/error.h"

namespace naiad {

EventFd::EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0)
    throw Error(Code::kUnavailable, std::string("cannot make an eventfd: ") + std::strerror(errno));
}

EventFd::~EventFd() {
  close(fd_);
}

void EventFd::signal() noexcept {
  const std::uint64_t one = 1;
  // Fails only when the counter is full (EAGAIN): then the descriptor is readable, which is all that matters.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
}

void EventFd::reset() noexcept {
  std::uint64_t count = 0;
  // Fails only when the counter is 0 (EAGAIN): then it is reset.
  [[maybe_unused]] const ssize_t taken = read(fd_, &count, sizeof(count));
}

}  // namespace naiad
