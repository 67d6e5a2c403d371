// An echo through a stream that does everything in a random order, against a client that writes and reads
// pieces of random sizes from threads of its own.
#include <doctest/doctest.h>
#include <poll.h>

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "io/stream.h"
#include "io/stream_kit.h"
#include "memory/tensor_pool.h"

namespace naiad {
namespace {

using test::pattern;

constexpr std::size_t kTotalBytes = 3'000'000;

void wait_for(int fd, short events) {
  pollfd waiting{fd, events, 0};
  static_cast<void>(poll(&waiting, 1, -1));
}

struct Echo final : Stream::User {
  Echo(EventLoop& event_loop, TensorPool& tensor_pool, std::unique_ptr<Transport> transport, unsigned seed)
      : loop(event_loop),
        pool(tensor_pool),
        random(seed),
        timer(event_loop, [this] { stream.resume(); }),
        stream(event_loop, std::move(transport), tensor_pool, *this) {
    stream.start();
  }

  // A view of the input goes out with a share of its block; the next bytes must leave it alone.
  void echo_input(std::size_t size_bytes) {
    const auto bytes = stream.input().first(size_bytes);
    Outgoing made;
    if (random() % 2 == 0) {
      made.message.append_view(bytes);
      made.owner = std::make_shared<BufferRef>(stream.input_owner());
    } else {
      made.message.text() = test::text_of(bytes);
    }
    stream.consume(size_bytes);
    stream.send(std::move(made));
  }
  void echo_block() {
    Outgoing made;
    made.message.append_view({block->data() + skipped, block->size_bytes() - skipped});
    made.owner = std::make_shared<BufferRef>(std::exchange(block, {}));
    stream.send(std::move(made));
  }

  void on_input() override {
    if (block) echo_block();
    // Some is kept for later, unless the end is near.
    const std::size_t held = stream.input().size();
    const std::size_t left = kTotalBytes - echoed;
    const std::size_t size_bytes = held < left && random() % 2 == 0 ? random() % (held + 1) : held;
    echoed += size_bytes;
    if (size_bytes != 0) echo_input(size_bytes);
    const std::size_t ahead = kTotalBytes - echoed;
    if (random() % 8 == 0 && ahead > 0) {
      const std::size_t body_bytes = 1 + random() % std::min<std::size_t>(ahead, 100'000);
      skipped = random() % 10;
      block = pool.try_allocate(skipped + body_bytes);
      REQUIRE(block);
      echoed += body_bytes;
      stream.receive_into(block, skipped);
    }
    if (random() % 16 == 0 || stream.unsent_bytes() > 200'000) {
      stream.pause();
      timer.arm(0);
    }
    if (echoed == kTotalBytes && !block) stream.close_after_sent();
  }
  void on_sent() override { stream.resume(); }
  void on_gone() override { loop.stop(); }

  EventLoop& loop;
  TensorPool& pool;
  std::mt19937 random;
  EventLoop::Timer timer;
  std::size_t echoed = 0;
  std::size_t skipped = 0;
  BufferRef block;
  Stream stream;
};

void write_all(int fd, unsigned seed) {
  std::mt19937 random(seed);
  for (std::size_t at = 0; at < kTotalBytes;) {
    const std::string text =
        pattern(std::min<std::size_t>(1 + random() % (1U << random() % 17), kTotalBytes - at), at);
    for (std::size_t done = 0; done < text.size();) {
      const ssize_t count = ::send(fd, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (count > 0) done += static_cast<std::size_t>(count);
      if (count < 0) wait_for(fd, POLLOUT);
    }
    at += text.size();
  }
}

// Reads to the end; says how many bytes came, all of which were right.
std::size_t read_all(int fd, unsigned seed) {
  std::mt19937 random(seed);
  std::string some(1 << 17, '\0');
  std::size_t at = 0;
  while (true) {
    const ssize_t count = ::recv(fd, some.data(), 1 + random() % (1U << random() % 17), 0);
    if (count == 0) return at;
    if (count < 0) {
      wait_for(fd, POLLIN);
      continue;
    }
    const auto size_bytes = static_cast<std::size_t>(count);
    if (some.compare(0, size_bytes, pattern(size_bytes, at)) != 0) return at;
    at += size_bytes;
  }
}

void echo_once(TensorPool& pool, unsigned seed) {
  const SteadyClock clock;
  EventLoop loop(clock);
  test::SocketPair pair;
  std::unique_ptr<Transport> transport = make_plain_transport(pair.take_near());
  std::mt19937 cuts(seed);
  if (seed % 2 == 0) {
    const int fd = ::fcntl(transport->fd(), F_DUPFD_CLOEXEC, 0);
    transport = std::make_unique<test::ChoppyTransport>(fd, [&] { return cuts() % (1U << cuts() % 18); });
  }
  Echo echo(loop, pool, std::move(transport), seed);
  std::size_t got = 0;
  {
    const std::jthread writer([&] { write_all(pair.far, seed + 1); });
    const std::jthread reader([&] {
      got = read_all(pair.far, seed + 2);
      ::shutdown(pair.far, SHUT_RDWR);
    });
    loop.run();
  }
  CHECK(got == kTotalBytes);
}

TEST_CASE("stream: echoes every byte, whatever the order of things") {
  const auto pool = make_arena_pool(std::size_t{256} << 20);
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    echo_once(*pool, seed);
    CHECK(pool->usage().used_bytes == 0);
  }
}

}  // namespace
}  // namespace naiad
