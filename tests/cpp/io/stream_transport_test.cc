// Streams over transports that behave like TLS, or that cut everything at every byte.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>

#include "io/stream.h"
#include "io/stream_kit.h"
#include "memory/buffer.h"

namespace naiad {
namespace {

using test::outgoing;
using test::pattern;
using test::run_rounds;
using test::StreamKit;
using test::text_of;

// Reads ahead of what it hands out, a "record" at a time; writes and reads wait for each other where told to.
class RecordTransport final : public Transport {
 public:
  RecordTransport(int fd, std::size_t record_bytes)
      : inner_(make_plain_transport(fd)), record_bytes_(record_bytes) {}

  int fd() const override { return inner_->fd(); }
  Moved read(std::span<std::byte> into) override {
    if (read_wants_write) {
      read_wants_write = false;
      return {Outcome::kWantWrite};
    }
    Moved last{Outcome::kMoved};
    std::array<std::byte, 4096> some;
    while ((last = inner_->read(some)).outcome == Outcome::kMoved) {
      held_.append(reinterpret_cast<const char*>(some.data()), last.size_bytes);
    }
    if (held_.empty()) return last;
    const std::size_t size_bytes = std::min({into.size(), record_bytes_, held_.size()});
    std::memcpy(into.data(), held_.data(), size_bytes);
    held_.erase(0, size_bytes);
    return {Outcome::kMoved, size_bytes};
  }
  Moved write(std::span<const iovec> pieces) override {
    if (write_wants_read) {
      // Ready once the other side has said something.
      std::byte peeked{};
      if (held_.empty() && ::recv(fd(), &peeked, 1, MSG_PEEK) <= 0) return {Outcome::kWantRead};
      write_wants_read = false;
    }
    return inner_->write(pieces.first(1));
  }
  Outcome shut_sending() override {
    if (shut_wants_write) {
      shut_wants_write = false;
      return Outcome::kWantWrite;
    }
    const std::string notify = "[close]";
    const iovec piece{const_cast<char*>(notify.data()), notify.size()};
    inner_->write({&piece, 1});
    return inner_->shut_sending();
  }
  const char* protocol() const override { return "h2"; }

  bool write_wants_read = false;
  bool read_wants_write = false;
  bool shut_wants_write = false;

 private:
  std::unique_ptr<Transport> inner_;
  const std::size_t record_bytes_;
  std::string held_;
};

struct RecordKit : StreamKit {
  explicit RecordKit(std::size_t record_bytes = 100) {
    auto made = std::make_unique<RecordTransport>(pair.take_near(), record_bytes);
    records = made.get();
    start(std::move(made));
  }
  RecordTransport* records;
};

TEST_CASE("stream over records: all that the transport holds is read, though epoll knows of nothing") {
  RecordKit kit;
  std::string got;
  kit.user.input = [&] { got += kit.take_input(); };
  kit.pair.write(pattern(50'000));
  run_rounds(kit.loop, 1);
  CHECK(got.size() < 50'000);  // others have their turn
  run_rounds(kit.loop, 200);
  CHECK(got == pattern(50'000));
  CHECK(kit.pool.usage().used_bytes == 0);
}

TEST_CASE("stream over records: what it held while it was paused is read after that") {
  RecordKit kit;
  std::string got;
  kit.user.input = [&] {
    got += kit.take_input();
    kit.stream->pause();
  };
  kit.pair.write(pattern(1000));
  for (std::size_t i = 1; i <= 10; ++i) {
    run_rounds(kit.loop, 5);
    CHECK(got.size() == 100 * i);
    kit.stream->resume();
  }
  CHECK(got == pattern(1000));
}

TEST_CASE("stream over records: a write waits until it can read, also while paused") {
  RecordKit kit;
  kit.records->write_wants_read = true;
  SUBCASE("reading") {}
  SUBCASE("paused") {
    kit.stream->pause();
  }
  kit.stream->send(outgoing("answer"));
  run_rounds(kit.loop, 3);
  CHECK(kit.stream->unsent_bytes() == 6);
  kit.pair.write("k");
  run_rounds(kit.loop, 3);
  CHECK(kit.pair.read() == "answer");
  CHECK(kit.user.sents == 1);
  kit.stream->resume();
  run_rounds(kit.loop, 3);
  CHECK(kit.take_input() == "k");
}

TEST_CASE("stream over records: a read waits until it can write") {
  RecordKit kit;
  kit.records->read_wants_write = true;
  kit.pair.write("hello");
  run_rounds(kit.loop, 5);
  CHECK(kit.take_input() == "hello");
}

TEST_CASE("stream over records: it says goodbye in its own words") {
  RecordKit kit;
  kit.stream->send(outgoing("last"));
  kit.stream->close_after_sent();
  CHECK(kit.pair.read() == "last[close]");
}

TEST_CASE("stream over records: a goodbye that cannot be said at once is said later") {
  RecordKit kit;
  kit.records->shut_wants_write = true;
  kit.stream->close_after_sent();
  CHECK(kit.pair.read().empty());
  run_rounds(kit.loop, 3);
  CHECK(kit.pair.read() == "[close]");
  ::shutdown(kit.pair.far, SHUT_WR);
  run_rounds(kit.loop, 3);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("stream over records: what the transport holds before the stream starts is read") {
  StreamKit kit;
  auto made = std::make_unique<RecordTransport>(kit.pair.take_near(), 100);
  kit.pair.write(pattern(300));
  std::array<std::byte, 100> first;
  CHECK(made->read(first).size_bytes == first.size());
  kit.start(std::move(made));
  run_rounds(kit.loop, 5);
  CHECK(kit.take_input() == pattern(300).substr(100));
}

// A message of each kind and size, cut at every byte both ways.
TEST_CASE("stream: head, body and answer, whatever the cuts") {
  const std::string head = "head";
  const std::string body = pattern(23);
  const std::string message = head + body;
  for (std::size_t most = 1; most <= message.size(); ++most) {
    for (int pace = 1; pace <= 3; ++pace) {
      StreamKit kit;
      int turn = 0;
      // Every pace-th attempt finds nothing.
      kit.start_choppy([&] { return pace > 1 && ++turn % pace == 0 ? 0 : most; });
      BufferRef block;
      std::string got;
      kit.user.input = [&] {
        while (true) {
          if (block && !kit.stream->receiving()) {
            CHECK(text_of({block->data(), body.size()}) == body);
            block = {};
            kit.stream->send(outgoing("<" + body + ">"));
          }
          if (kit.stream->input().size() < head.size()) return;
          CHECK(text_of(kit.stream->input()).substr(0, head.size()) == head);
          kit.stream->consume(head.size());
          block = make_heap_buffer(body.size());
          kit.stream->receive_into(block, 0);
          if (kit.stream->receiving()) return;
        }
      };
      kit.pair.write(message + message + message);
      for (int i = 0; i < 500 && got.size() < 3 * (body.size() + 2); ++i) {
        run_rounds(kit.loop, 2);
        got += kit.pair.read();
      }
      const std::string answer = "<" + body + ">";
      REQUIRE(got == answer + answer + answer);
      run_rounds(kit.loop, 3);
      CHECK(kit.pool.usage().used_bytes == 0);
    }
  }
}

}  // namespace
}  // namespace naiad
