// The floor of the data plane: a length-prefixed echo on one event loop over loopback TCP, with nothing of a
// protocol, a queue or a model.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "echo_client.h"
#include "io/event_loop.h"
#include "io/listener.h"
#include "io/stream.h"
#include "memory/tensor_pool.h"

namespace naiad {
namespace {

// From here on a message is received into a block of its own, as bodies of requests are.
constexpr std::size_t kInBlockBytes = std::size_t{4} << 10;

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
    loop_.post([&used] { used.set_value(bench::thread_cpu_us()); });
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

}  // namespace
}  // namespace naiad

int main() {
  naiad::EchoServer server;
  naiad::bench::bench_echo("loop", server, 64, 1, 50'000);
  naiad::bench::bench_echo("loop", server, 64, 8, 10'000);
  naiad::bench::bench_echo("loop", server, 64, 32, 3'000);
  naiad::bench::bench_echo("loop", server, 600'000, 1, 1'000);
  return 0;
}
