#include "io/listener.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace naiad {
namespace {

// Accepted in one round at the most: a flood of connections must not keep the others from their turn.
constexpr int kMaxAcceptsPerRound = 64;
// How long to wait when the process is out of descriptors: the socket stays readable all the while.
constexpr std::uint64_t kRetryNs = 100'000'000;

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

[[noreturn]] void refuse(const ListenOptions& options, std::uint16_t port, const std::string& why) {
  throw Error(Code::kUnavailable,
              "cannot listen on " + options.address + ":" + std::to_string(port) + ": " + why);
}

Addresses look_up(const ListenOptions& options) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const char* name = options.address.empty() ? nullptr : options.address.c_str();
  const int error = getaddrinfo(name, "0", &hints, &found);
  if (error != 0) refuse(options, options.port, gai_strerror(error));
  return Addresses(found);
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

void set_port(sockaddr* address, std::uint16_t port) {
  if (address->sa_family == AF_INET6) reinterpret_cast<sockaddr_in6*>(address)->sin6_port = htons(port);
  if (address->sa_family == AF_INET) reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

OwnedFd listen_at(const ListenOptions& options, const addrinfo& address, std::uint16_t port) {
  OwnedFd fd(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) refuse(options, port, std::strerror(errno));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (options.reuse_port) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  // The IPv4 address of a name has a socket of its own.
  if (address.ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  set_port(address.ai_addr, port);
  if (bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0 || listen(fd.get(), options.backlog) != 0) {
    refuse(options, port, std::strerror(errno));
  }
  return fd;
}

OwnedFd open_spare() {
  return OwnedFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) close(fd_);
}

ListeningSockets listen_on(const ListenOptions& options) {
  ListeningSockets sockets;
  sockets.port = options.port;
  const Addresses addresses = look_up(options);
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    if (address->ai_family != AF_INET && address->ai_family != AF_INET6) continue;
    sockets.fds.push_back(listen_at(options, *address, sockets.port));
    sockets.port = bound_port(sockets.fds.back().get());
  }
  return sockets;
}

Listener::Listener(EventLoop& loop, OwnedFd socket, std::function<void(OwnedFd)> accepted)
    : loop_(loop),
      socket_(std::move(socket)),
      spare_(open_spare()),
      accepted_(std::move(accepted)),
      retry_(loop, [this] { loop_.rewatch(socket_.get(), EPOLLIN, *this); }) {
  loop_.watch(socket_.get(), EPOLLIN, *this);
}

Listener::~Listener() {
  loop_.forget(socket_.get());
}

void Listener::on_events(std::uint32_t) {
  for (int i = 0; i < kMaxAcceptsPerRound; ++i) {
    if (!accept_one()) return;
  }
}

void Listener::accept_all() {
  while (accept_one()) {
  }
}

bool Listener::accept_one() {
  OwnedFd fd(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (fd.get() >= 0) {
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    accepted_(std::move(fd));
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
    log_warning(std::string("cannot accept a connection: ") + std::strerror(errno));
    wait_for_descriptors();
    return false;
  }
  return true;  // the error is that of one connection that has gone again
}

void Listener::wait_for_descriptors() {
  spare_ = {};
  static_cast<void>(OwnedFd(accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
  spare_ = open_spare();
  loop_.rewatch(socket_.get(), 0, *this);
  retry_.arm(kRetryNs);
}

}  // namespace naiad
