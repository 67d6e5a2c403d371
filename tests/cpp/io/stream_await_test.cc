// What a stream asks its transport to wait for while it receives a large block.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/stream.h"
#include "io/stream_kit.h"
#include "memory/buffer.h"

namespace naiad {
namespace {

using test::pattern;
using test::run_rounds;
using test::StreamKit;
using test::text_of;

constexpr std::size_t kBodyBytes = 300'000;

class AwaitingTransport final : public Transport {
 public:
  explicit AwaitingTransport(int fd) : inner_(make_plain_transport(fd)) {}

  int fd() const override { return inner_->fd(); }
  Moved read(std::span<std::byte> into) override { return inner_->read(into); }
  Moved write(std::span<const iovec> pieces) override { return inner_->write(pieces); }
  bool may_hold_input() const override { return false; }
  void await_bytes(std::size_t size_bytes) override { awaited.push_back(size_bytes); }
  std::size_t waiting_bytes() const override { return waiting; }
  const char* protocol() const override { return ""; }

  std::vector<std::size_t> awaited;
  std::size_t waiting = 0;

 private:
  std::unique_ptr<Transport> inner_;
};

struct AwaitKit : StreamKit {
  AwaitKit() {
    auto made = std::make_unique<AwaitingTransport>(pair.take_near());
    transport = made.get();
    user.input = [this] {
      if (stream->received_bytes() == 0 && text_of(stream->input()).starts_with("head:")) {
        stream->consume(5);
        stream->receive_into(block, 0);
      }
    };
    start(std::move(made));
  }
  // The pair takes no more at once than its buffers hold.
  void write(std::string_view text) {
    while (!text.empty()) {
      text.remove_prefix(pair.write_some(text));
      run_rounds(loop, 2);
    }
  }

  AwaitingTransport* transport;
  const std::string body = pattern(kBodyBytes);
  const BufferRef block = make_heap_buffer(kBodyBytes);
};

TEST_CASE("stream: a large block is awaited in large parts, and its end is not missed") {
  AwaitKit kit;
  kit.write("head:");
  CHECK(kit.transport->awaited == std::vector<std::size_t>{256 << 10});
  CHECK(kit.stream->received_bytes() == 0);
  kit.transport->waiting = 77;
  CHECK(kit.stream->received_bytes() == 77);
  kit.transport->waiting = 0;
  kit.write(std::string_view(kit.body).substr(0, 100'000));
  // Less is left than one large part.
  CHECK(kit.transport->awaited.back() < (200 << 10));
  CHECK(kit.transport->awaited.back() > (190 << 10));
  kit.write(std::string_view(kit.body).substr(100'000, 180'000));
  CHECK(kit.transport->awaited.back() == 1);
  kit.write(std::string_view(kit.body).substr(280'000));
  CHECK_FALSE(kit.stream->receiving());
  CHECK(text_of({kit.block->data(), kBodyBytes}) == kit.body);
  CHECK(kit.transport->awaited.back() == 1);
}

TEST_CASE("stream: whoever closes or pauses behind a large block hears single bytes again") {
  AwaitKit kit;
  kit.write("head:");
  kit.write(kit.body);
  kit.stream->pause();
  CHECK(kit.transport->awaited.back() == 1);

  AwaitKit closing;
  closing.write("head:");
  CHECK(closing.transport->awaited.back() > 1);
  closing.stream->close_after_sent();
  CHECK(closing.transport->awaited.back() == 1);
}

TEST_CASE("stream: a small block is not awaited in parts") {
  StreamKit kit;
  auto made = std::make_unique<AwaitingTransport>(kit.pair.take_near());
  AwaitingTransport* const transport = made.get();
  const BufferRef block = make_heap_buffer(10'000);
  kit.start(std::move(made));
  kit.stream->receive_into(block, 0);
  kit.pair.write(pattern(5'000));
  run_rounds(kit.loop);
  CHECK(transport->awaited.empty());
  CHECK(kit.stream->received_bytes() == 5'000);
}

}  // namespace
}  // namespace naiad
