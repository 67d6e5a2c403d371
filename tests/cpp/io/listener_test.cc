#include "io/listener.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "io/stream_kit.h"

namespace naiad {
namespace {

ListenOptions at(const std::string& address, std::uint16_t port = 0) {
  ListenOptions options;
  options.address = address;
  options.port = port;
  return options;
}

OwnedFd connect_to(int family, std::uint16_t port) {
  OwnedFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(fd.get() >= 0);
  int result = 0;
  if (family == AF_INET6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (result != 0) return {};
  return fd;
}

struct ListenerKit {
  explicit ListenerKit(const ListenOptions& options) {
    ListeningSockets sockets = listen_on(options);
    REQUIRE(sockets.fds.size() == 1);
    port = sockets.port;
    socket = sockets.fds.front().get();
    listener = std::make_unique<Listener>(loop, std::move(sockets.fds.front()),
                                          [this](OwnedFd fd) { accepted.push_back(std::move(fd)); });
  }
  // Until so many are accepted: a connection over loopback is there when connect() returns, or a little
  // later.
  void accept(std::size_t count) {
    while (accepted.size() < count) {
      pollfd waiting{socket, POLLIN, 0};
      REQUIRE(poll(&waiting, 1, 10'000) == 1);
      test::run_rounds(loop, 1);
    }
  }

  FakeClock clock;
  EventLoop loop{clock};
  std::uint16_t port = 0;
  int socket = -1;
  std::unique_ptr<Listener> listener;
  std::vector<OwnedFd> accepted;
};

TEST_CASE("listener: accepts on a port of the kernel's choice, over IPv4 and IPv6") {
  int family = AF_INET;
  std::string address = "127.0.0.1";
  SUBCASE("IPv4") {}
  SUBCASE("IPv6") {
    family = AF_INET6;
    address = "::1";
  }
  ListenerKit kit(at(address));
  CHECK(kit.port != 0);
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(connect_to(family, kit.port));
  kit.accept(clients.size());
  const int fd = kit.accepted.front().get();
  CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  int no_delay = 0;
  socklen_t size = sizeof no_delay;
  CHECK(::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &size) == 0);
  CHECK(no_delay != 0);
}

TEST_CASE("listener: a port that is taken is refused by name, unless both share it") {
  ListenOptions options = at("127.0.0.1");
  const ListeningSockets first = listen_on(options);
  options.port = first.port;
  CHECK_THROWS_WITH_AS(listen_on(options),
                       doctest::Contains(("127.0.0.1:" + std::to_string(first.port)).c_str()), Error);
  ListenOptions shared = at("127.0.0.1");
  shared.reuse_port = true;
  const ListeningSockets one = listen_on(shared);
  shared.port = one.port;
  CHECK(listen_on(shared).port == one.port);
}

TEST_CASE("listener: an address that is none is refused") {
  CHECK_THROWS_AS(listen_on(at("256.0.0.1")), Error);
}

TEST_CASE("listener: when it ends, connections are refused") {
  ListenerKit kit(at("127.0.0.1"));
  kit.listener.reset();
  CHECK(connect_to(AF_INET, kit.port).get() < 0);
}

// Lets the process have no new descriptor, until it is destroyed.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    // Descriptors are given lowest first: from here on there is none free.
    OwnedFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(next.get());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("listener: out of descriptors it turns one away, rests, and goes on") {
  ListenerKit kit(at("127.0.0.1"));
  std::vector<OwnedFd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect_to(AF_INET, kit.port));
  {
    const NoDescriptors none;
    pollfd waiting{kit.socket, POLLIN, 0};
    REQUIRE(poll(&waiting, 1, 10'000) == 1);
    test::run_rounds(kit.loop, 10);
    CHECK(kit.accepted.empty());
    // The first is told.
    std::array<char, 1> byte;
    CHECK(::recv(clients[0].get(), byte.data(), byte.size(), 0) <= 0);
    kit.clock.advance(150'000'000);
    test::run_rounds(kit.loop, 2);
    CHECK(kit.accepted.empty());
  }
  test::run_rounds(kit.loop, 5);
  CHECK(kit.accepted.empty());
  kit.clock.advance(150'000'000);
  test::run_rounds(kit.loop, 2);
  kit.accept(1);
  CHECK(kit.accepted.size() == 1);
}

}  // namespace
}  // namespace naiad
