// Streams over TLS.
#include "io/tls_transport.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "memory/buffer.h"
#include "tls_kit.h"

namespace naiad {
namespace {

using test::outgoing;
using test::pattern;
using test::run_rounds;
using test::text_of;
using test::TlsClientOptions;
using test::TlsKit;

// The lengths of the records in what was sent.
std::vector<std::size_t> record_sizes(std::string_view wire) {
  std::vector<std::size_t> sizes;
  while (wire.size() >= 5) {
    const auto byte = [&](std::size_t at) {
      return static_cast<std::size_t>(static_cast<unsigned char>(wire[at]));
    };
    sizes.push_back(byte(3) << 8 | byte(4));
    wire.remove_prefix(std::min(wire.size(), sizes.back() + 5));
  }
  CHECK(wire.empty());
  return sizes;
}

// Of kernel memory for what one side has sent and the other has not read.
void narrow(int fd) {
  const int size = 4096;
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

TEST_CASE("tls: head, body and answer, whatever the cuts") {
  const std::string body = pattern(23);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (std::size_t cut = 1; cut < 130; ++cut) {
      TlsKit kit({.version = version});
      kit.open();
      kit.cut = cut;
      BufferRef block;
      kit.user.input = [&] {
        if (block && !kit.stream->receiving()) {
          CHECK(text_of({block->data(), body.size()}) == body);
          block = {};
          kit.stream->send(outgoing("<" + body + ">"));
        }
        if (kit.stream->input().size() < 4) return;
        CHECK(kit.take_input().substr(0, 4) == "head");
        block = make_heap_buffer(body.size());
        kit.stream->receive_into(block, 0);
      };
      for (int i = 0; i < 2; ++i) {
        kit.send("head");
        kit.send(body);
        REQUIRE(kit.got == "<" + body + ">");
        kit.got.clear();
      }
      CHECK(kit.pool.usage().used_bytes == 0);
    }
  }
}

TEST_CASE("tls: what came with the end of the handshake is read") {
  TlsKit kit({.version = TLS1_3_VERSION});
  kit.client.shake();
  kit.pair.write(kit.client.take_outgoing());
  run_rounds(kit.loop);
  kit.client.give(kit.pair.read());
  CHECK(kit.client.shake());
  kit.client.write("first");
  kit.client.write("second");
  kit.pair.write(kit.client.take_outgoing());
  run_rounds(kit.loop);
  REQUIRE(kit.outcome == TlsHandshake::Outcome::kDone);
  kit.handshake.reset();
  kit.start(std::move(kit.transport));
  run_rounds(kit.loop);
  CHECK(kit.take_input() == "firstsecond");
}

TEST_CASE("tls: large bodies both ways, straight into their block") {
  TlsKit kit;
  kit.open();
  const std::string body = pattern(3'000'000);
  const BufferRef block = make_heap_buffer(body.size());
  kit.user.input = [&] {
    if (!kit.stream->input().empty()) kit.take_input();
  };
  kit.stream->receive_into(block, 0);
  for (std::size_t at = 0; at < body.size(); at += 100'000) kit.send(body.substr(at, 100'000));
  CHECK_FALSE(kit.stream->receiving());
  CHECK(text_of({block->data(), body.size()}) == body);
  CHECK(kit.pool.usage().used_bytes == 0);

  const auto owner = std::make_shared<int>(0);
  Outgoing answer = outgoing("head", owner);
  answer.message.append_view({block->data(), body.size()});
  answer.message.text() += "tail";
  kit.stream->send(std::move(answer));
  for (int i = 0; i < 10'000 && kit.got.size() < body.size() + 8; ++i) {
    run_rounds(kit.loop, 2);
    kit.receive();
  }
  CHECK(kit.got == "head" + body + "tail");
  CHECK(owner.use_count() == 1);
  CHECK(kit.stream->unsent_bytes() == 0);
}

TEST_CASE("tls: a record that could not be sent whole is gone on with, whatever is queued behind it") {
  std::mt19937 random(3);
  TlsKit kit;
  kit.open();
  narrow(kit.stream_fd);
  std::string sent;
  const BufferRef block = make_heap_buffer(200'000);
  const std::string bytes = pattern(block->size_bytes());
  std::memcpy(block->data(), bytes.data(), bytes.size());
  for (int i = 0; i < 400; ++i) {
    Outgoing message;
    for (unsigned pieces = random() % 4; pieces > 0; --pieces) {
      const std::size_t size = random() % (random() % 3 == 0 ? 50'000 : 300);
      message.message.text() += pattern(random() % 200, sent.size());
      message.message.append_view({block->data(), size});
    }
    message.message.end_text();
    for (const auto& piece : message.message.pieces()) sent += text_of(message.message.bytes(piece));
    kit.stream->send(std::move(message));
    if (random() % 4 == 0) {
      run_rounds(kit.loop, 2);
      // Not all of it is taken from the kernel.
      std::array<char, 3000> some;
      const ssize_t count = ::recv(kit.pair.far, some.data(), 1 + random() % some.size(), 0);
      if (count > 0) kit.client.give({some.data(), static_cast<std::size_t>(count)});
      kit.got += kit.client.read();
    }
  }
  CHECK(kit.stream->unsent_bytes() > 0);
  for (int i = 0; i < 100'000 && kit.stream->unsent_bytes() > 0; ++i) {
    kit.receive();
    run_rounds(kit.loop, 2);
  }
  kit.receive();
  CHECK(kit.got == sent);
  CHECK(kit.user.gones == 0);
}

TEST_CASE("tls: small pieces leave in one record, large ones in full records") {
  TlsKit kit({.version = TLS1_3_VERSION});
  kit.open();
  std::string wire;
  kit.on_wire = &wire;
  const std::string tensor = pattern(40'000);
  Outgoing answer = outgoing("a head");
  for (int i = 0; i < 5; ++i) {
    answer.message.append_view(std::as_bytes(std::span(tensor).first(100)));
    answer.message.text() += "between";
  }
  kit.stream->send(std::move(answer));
  kit.receive();
  CHECK(record_sizes(wire).size() == 1);
  CHECK(kit.got.size() == 6 + 500 + 35);
  wire.clear();
  answer = outgoing("a head");
  answer.message.append_view(std::as_bytes(std::span(tensor)));
  kit.stream->send(std::move(answer));
  kit.receive();
  // Each with its type and its tag.
  CHECK(record_sizes(wire) == std::vector<std::size_t>{16'384 + 17, 16'384 + 17, 40'006 - 2 * 16'384 + 17});
}

TEST_CASE("tls: the end of a client is noticed, after what it has sent") {
  TlsKit kit;
  kit.open();
  std::string input;
  kit.user.input = [&] { input += kit.take_input(); };
  kit.client.write("last");
  SUBCASE("in order") {
    kit.client.say_goodbye();
  }
  SUBCASE("with its connection alone") {}
  SUBCASE("in order, its connection open") {
    kit.client.say_goodbye();
    kit.pair.write(kit.client.take_outgoing());
    run_rounds(kit.loop);
    CHECK(kit.user.gones == 1);
  }
  kit.pair.write_some(kit.client.take_outgoing());
  ::shutdown(kit.pair.far, SHUT_WR);
  run_rounds(kit.loop);
  CHECK(input == "last");
  CHECK(kit.user.gones == 1);
  CHECK(kit.stream->closed());
}

TEST_CASE("tls: a stream that ends says goodbye, behind all that it has sent") {
  TlsKit kit;
  kit.open();
  narrow(kit.stream_fd);
  const std::string answer = pattern(200'000);
  kit.stream->send(outgoing(answer));
  kit.stream->close_after_sent();
  for (int i = 0; i < 10'000 && !kit.ended; ++i) {
    run_rounds(kit.loop, 2);
    kit.receive();
  }
  CHECK(kit.got == answer);
  CHECK(kit.client.at_end());
  CHECK(kit.user.gones == 0);
  kit.client.say_goodbye();
  kit.pair.write(kit.client.take_outgoing());
  ::shutdown(kit.pair.far, SHUT_WR);
  run_rounds(kit.loop);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("tls: closed at once, it says goodbye, but not in the middle of an answer") {
  TlsKit kit;
  kit.open();
  SUBCASE("idle") {
    kit.stream->close();
    kit.receive();
    CHECK(kit.client.at_end());
  }
  SUBCASE("in the middle") {
    narrow(kit.stream_fd);
    kit.stream->send(outgoing(pattern(200'000)));
    kit.stream->close();
    for (int i = 0; i < 100 && !kit.ended; ++i) kit.receive();
    CHECK_FALSE(kit.client.at_end());
  }
  CHECK(kit.ended);
}

TEST_CASE("tls: new keys at any time, and no other handshake") {
  SUBCASE("TLS 1.3: a client changes its keys and asks for ours") {
    TlsKit kit({.version = TLS1_3_VERSION});
    kit.open();
    kit.user.input = [&] { kit.stream->send(outgoing(kit.take_input())); };
    for (int i = 0; i < 20; ++i) {
      REQUIRE(SSL_key_update(kit.client.ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
      kit.send("again");
      kit.exchange();
      CHECK(kit.got == "again");
      kit.got.clear();
    }
    CHECK(kit.user.gones == 0);
  }
  SUBCASE("TLS 1.2: renegotiation is refused") {
    TlsKit kit({.version = TLS1_2_VERSION});
    kit.open();
    SSL_renegotiate(kit.client.ssl());
    kit.exchange();
    CHECK(kit.client.failure() == "no renegotiation");
  }
}

TEST_CASE("tls: a byte that was changed ends the connection") {
  TlsKit kit;
  kit.open();
  kit.client.write("hello");
  std::string bytes = kit.client.take_outgoing();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  kit.pair.write(bytes);
  run_rounds(kit.loop);
  CHECK(kit.user.inputs == 0);
  CHECK(kit.user.gones == 1);
}

TEST_CASE("tls: paused, nothing is lost of what the transport holds") {
  TlsKit kit;
  kit.open();
  std::string input;
  kit.user.input = [&] {
    input += kit.take_input();
    kit.stream->pause();
  };
  const std::string all = pattern(300'000);
  for (std::size_t at = 0; at < all.size(); at += 10'000)
    kit.client.write(std::string_view(all).substr(at, 10'000));
  const std::string wire = kit.client.take_outgoing();
  for (std::size_t at = 0; input.size() < all.size();) {
    at += kit.pair.write_some(std::string_view(wire).substr(at));
    run_rounds(kit.loop, 2);
    kit.stream->resume();
  }
  CHECK(input == all);
}

}  // namespace
}  // namespace naiad
