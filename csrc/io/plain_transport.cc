#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "io/transport.h"

namespace naiad {
namespace {

using Outcome = Transport::Outcome;

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int fd) : fd_(fd) {}
  ~PlainTransport() override { ::close(fd_); }
  PlainTransport(const PlainTransport&) = delete;
  PlainTransport& operator=(const PlainTransport&) = delete;

  int fd() const override { return fd_; }
  Moved read(std::span<std::byte> into) override {
    ssize_t count = 0;
    do {
      count = ::recv(fd_, into.data(), into.size(), 0);
    } while (count < 0 && errno == EINTR);
    return received(count);
  }
  Moved scatter(std::span<const iovec> pieces) override {
    ssize_t count = 0;
    do {
      count = ::readv(fd_, pieces.data(), static_cast<int>(pieces.size()));
    } while (count < 0 && errno == EINTR);
    return received(count);
  }
  Moved write(std::span<const iovec> pieces) override;
  bool may_hold_input() const override { return false; }
  void await_bytes(std::size_t size_bytes) override {
    const int least = static_cast<int>(size_bytes);
    static_cast<void>(::setsockopt(fd_, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least));
  }
  std::size_t waiting_bytes() const override {
    int count = 0;
    return ::ioctl(fd_, FIONREAD, &count) == 0 && count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  const char* protocol() const override { return ""; }

 private:
  static Moved received(ssize_t count) {
    if (count > 0) return {Outcome::kMoved, static_cast<std::size_t>(count)};
    if (count == 0) return {Outcome::kEnd};
    return {errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kWantRead : Outcome::kBroken};
  }

  const int fd_;
};

Transport::Moved PlainTransport::write(std::span<const iovec> pieces) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg only reads it; POSIX lacks the const
  message.msg_iovlen = pieces.size();
  ssize_t count = 0;
  do {
    // Not writev: a connection that is gone must be an error, not SIGPIPE.
    count = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return {Outcome::kMoved, static_cast<std::size_t>(count)};
  return {errno == EAGAIN || errno == EWOULDBLOCK ? Outcome::kWantWrite : Outcome::kBroken};
}

}  // namespace

std::unique_ptr<Transport> make_plain_transport(int fd) {
  return std::make_unique<PlainTransport>(fd);
}

}  // namespace naiad
