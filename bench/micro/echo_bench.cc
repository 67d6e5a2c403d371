// The floor of the data plane: a length-prefixed echo on one event loop over loopback TCP, with nothing of a
// protocol, a queue or a model. The server's CPU time per round trip is that of the loop's thread, kernel
// included; latency is what a blocking client sees. With several connections the client writes to each of
// them before it reads from the first.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "io/event_loop.h"
#include "io/listener.h"
#include "io/stream.h"
#include "memory/tensor_pool.h"

namespace naiad {
namespace {

// From here on a message is received into a block of its own, as bodies of requests are.
constexpr std::size_t kInBlockBytes = std::size_t{4} << 10;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// One connection of the server: each message goes back as it came, from where it lies.
class EchoConnection final : public Stream::User {
 public:
  EchoConnection(EventLoop& loop, TensorPool& pool, OwnedFd fd)
      : pool_(pool), stream_(loop, make_plain_transport(fd.release()), pool, *this) {
    stream_.start();
  }

  void on_input() override {
    if (block_ && !stream_.receiving()) {
      echo({block_->data(), block_->size_bytes()}, block_);
      block_ = {};
    }
    while (stream_.input().size() >= sizeof(std::uint32_t)) {
      std::uint32_t size_bytes = 0;
      std::memcpy(&size_bytes, stream_.input().data(), sizeof size_bytes);
      const std::size_t whole_bytes = sizeof size_bytes + size_bytes;
      if (stream_.input().size() >= whole_bytes) {
        echo(stream_.input().first(whole_bytes), stream_.input_owner());
        stream_.consume(whole_bytes);
        continue;
      }
      if (whole_bytes < kInBlockBytes) return;
      block_ = pool_.try_allocate(whole_bytes);
      if (!block_) std::abort();
      stream_.receive_into(block_, 0);
      return;
    }
  }
  void on_sent() override {}
  void on_gone() override {}

 private:
  void echo(std::span<const std::byte> bytes, BufferRef owner) {
    Outgoing outgoing;
    outgoing.message.append_view(bytes);
    outgoing.owner = std::make_shared<BufferRef>(std::move(owner));
    stream_.send(std::move(outgoing));
  }

  TensorPool& pool_;
  BufferRef block_;
  Stream stream_;
};

double thread_cpu_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

class EchoServer {
 public:
  EchoServer() : pool_(make_arena_pool(std::size_t{256} << 20)) {
    ListenOptions options;
    options.address = "127.0.0.1";
    ListeningSockets sockets = listen_on(options);
    port_ = sockets.port;
    listener_ = std::make_unique<Listener>(loop_, std::move(sockets.fds.front()), [this](OwnedFd fd) {
      connections_.push_back(std::make_unique<EchoConnection>(loop_, *pool_, std::move(fd)));
    });
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~EchoServer() {
    loop_.stop();
    thread_.join();
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  std::uint16_t port() const { return port_; }
  // CPU time that the loop's thread has used.
  double cpu_us() {
    std::promise<double> used;
    loop_.post([&used] { used.set_value(thread_cpu_us()); });
    return used.get_future().get();
  }

 private:
  const SteadyClock clock_;
  EventLoop loop_{clock_};
  std::unique_ptr<TensorPool> pool_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<EchoConnection>> connections_;
  std::thread thread_;
};

OwnedFd connect_to(std::uint16_t port) {
  OwnedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (fd.get() < 0 || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("connect");
  }
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void send_all(int fd, const std::string& message) {
  for (std::size_t at = 0; at < message.size();) {
    const ssize_t count = ::send(fd, message.data() + at, message.size() - at, MSG_NOSIGNAL);
    if (count <= 0) fail("send");
    at += static_cast<std::size_t>(count);
  }
}

void receive_all(int fd, std::string& answer) {
  for (std::size_t at = 0; at < answer.size();) {
    const ssize_t count = ::recv(fd, answer.data() + at, answer.size() - at, 0);
    if (count <= 0) fail("recv");
    at += static_cast<std::size_t>(count);
  }
}

void bench(std::size_t size_bytes, std::size_t num_connections, int num_rounds) {
  EchoServer server;
  std::vector<OwnedFd> fds;
  for (std::size_t i = 0; i < num_connections; ++i) fds.push_back(connect_to(server.port()));
  std::string message(sizeof(std::uint32_t) + size_bytes, 'x');
  const auto prefix = static_cast<std::uint32_t>(size_bytes);
  std::memcpy(message.data(), &prefix, sizeof prefix);
  std::string answer(message.size(), '\0');
  const SteadyClock clock;
  std::vector<double> latencies_us;
  double cpu_start_us = 0;
  const int num_warm = num_rounds / 10;
  for (int round = 0; round < num_warm + num_rounds; ++round) {
    if (round == num_warm) cpu_start_us = server.cpu_us();
    const std::uint64_t start_ns = clock.now_ns();
    for (const OwnedFd& fd : fds) send_all(fd.get(), message);
    for (const OwnedFd& fd : fds) receive_all(fd.get(), answer);
    if (round >= num_warm) latencies_us.push_back(static_cast<double>(clock.now_ns() - start_ns) / 1e3);
  }
  if (answer != message) fail("the echo is not what was sent");
  const double cpu_us = (server.cpu_us() - cpu_start_us) / static_cast<double>(num_rounds) /
                        static_cast<double>(num_connections);
  std::sort(latencies_us.begin(), latencies_us.end());
  const auto percentile = [&](double part) {
    return latencies_us[static_cast<std::size_t>(part * static_cast<double>(latencies_us.size() - 1))];
  };
  std::printf(
      "%8zu bytes, %3zu connections: server CPU %7.2f us per round trip; p50 %8.1f us, p99 %8.1f us%s\n",
      size_bytes, num_connections, cpu_us, percentile(0.5), percentile(0.99),
      num_connections == 1 ? "" : " for a turn of all");
}

}  // namespace
}  // namespace naiad

int main() {
  naiad::bench(64, 1, 50'000);
  naiad::bench(64, 8, 10'000);
  naiad::bench(64, 32, 3'000);
  naiad::bench(600'000, 1, 1'000);
  return 0;
}
