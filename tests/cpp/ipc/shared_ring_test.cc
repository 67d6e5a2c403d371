#include "ipc/shared_ring.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "ipc/channel.h"

namespace naiad {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

std::vector<std::byte> message_of(std::size_t size, unsigned seed) {
  std::vector<std::byte> message(size);
  for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::byte>((i * 31 + seed) & 0xFF);
  return message;
}

// Both ends of a small ring, as two processes would have them.
struct Ends {
  SharedRing::State state{};
  std::array<std::byte, 64> bytes{};
  std::atomic<std::uint32_t> closed{0};
  SharedRing writer{state, bytes, closed};
  SharedRing reader{state, bytes, closed};
};

}  // namespace

TEST_CASE("messages come out as they went in, in order") {
  Ends ends;
  std::vector<std::byte> got;
  CHECK(ends.reader.read(got, 0) == SharedRing::Outcome::kNothing);
  for (unsigned round = 0; round < 100; ++round) {
    const auto first = message_of(round % 20, round);
    const auto second = message_of(3, round + 1);
    REQUIRE(ends.writer.try_write(first));
    REQUIRE(ends.writer.try_write(second));
    REQUIRE(ends.reader.read(got, 0) == SharedRing::Outcome::kMessage);
    CHECK(got == first);
    REQUIRE(ends.reader.read(got, 0) == SharedRing::Outcome::kMessage);
    CHECK(got == second);
  }
}

TEST_CASE("a full ring takes nothing until something is read") {
  Ends ends;
  const auto message = message_of(20, 1);
  while (ends.writer.try_write(message)) {
  }
  std::vector<std::byte> got;
  REQUIRE(ends.reader.read(got, 0) == SharedRing::Outcome::kMessage);
  CHECK(got == message);
  CHECK(ends.writer.try_write(message));
}

TEST_CASE("messages that are longer than the ring pass through it, under two threads") {
  Ends ends;
  std::mt19937 random(7);
  std::vector<std::size_t> sizes(2'000);
  for (std::size_t& size : sizes) size = random() % 300;
  std::jthread writer([&] {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      ends.writer.write(message_of(sizes[i], static_cast<unsigned>(i)));
    }
  });
  std::vector<std::byte> got;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    REQUIRE(ends.reader.read(got, 20 * kSecondNs) == SharedRing::Outcome::kMessage);
    REQUIRE(got == message_of(sizes[i], static_cast<unsigned>(i)));
  }
}

TEST_CASE("a ring that is closed lets go of who waits, on both sides") {
  Ends ends;
  std::jthread reader([&] {
    std::vector<std::byte> got;
    CHECK(ends.reader.read(got, 60 * kSecondNs) == SharedRing::Outcome::kClosed);
  });
  ends.closed.store(1);
  ends.writer.wake_all();
  reader.join();

  Ends full;
  while (full.writer.try_write(message_of(20, 1))) {
  }
  std::jthread writer([&] { CHECK_FALSE(full.writer.write(message_of(20, 1))); });
  full.closed.store(1);
  full.reader.wake_all();
}

TEST_CASE("positions and lengths that cannot be break the ring and nothing else") {
  std::vector<std::byte> got;
  SUBCASE("more written than the ring holds") {
    Ends ends;
    ends.state.written.store(65);
    CHECK(ends.reader.read(got, 0) == SharedRing::Outcome::kBroken);
  }
  SUBCASE("a position that goes back") {
    Ends ends;
    REQUIRE(ends.writer.try_write(message_of(8, 1)));
    REQUIRE(ends.reader.read(got, 0) == SharedRing::Outcome::kMessage);
    ends.state.written.store(1);
    CHECK(ends.reader.read(got, 0) == SharedRing::Outcome::kBroken);
  }
  SUBCASE("a length over the bound") {
    Ends ends;
    ends.bytes.fill(std::byte{0xFF});
    ends.state.written.store(32);
    CHECK(ends.reader.read(got, 0) == SharedRing::Outcome::kBroken);
  }
  SUBCASE("any bytes at all") {
    std::mt19937 random(11);
    for (int round = 0; round < 5'000; ++round) {
      Ends ends;
      ends.closed.store(1);  // so that nobody waits for the rest of a message
      for (std::byte& each : ends.bytes) each = static_cast<std::byte>(random());
      // Short lengths are likely, so that messages are found too.
      ends.bytes[1] = ends.bytes[2] = ends.bytes[3] = std::byte{0};
      ends.state.written.store(random() % 70);
      for (int i = 0; i < 4; ++i) {
        const auto outcome = ends.reader.read(got, 1'000);
        if (outcome == SharedRing::Outcome::kMessage) CHECK(got.size() <= ends.bytes.size());
        if (outcome != SharedRing::Outcome::kMessage) break;
      }
    }
  }
}

TEST_CASE("a channel is the same from both ends") {
  Channel server;
  Channel worker(dup(server.fd()));
  const auto message = message_of(100, 3);
  REQUIRE(server.batches().try_write(message));
  std::vector<std::byte> got;
  REQUIRE(worker.batches().read(got, 0) == SharedRing::Outcome::kMessage);
  CHECK(got == message);
  worker.request(5).done.store(1);
  CHECK(server.request(5).done.load() == 1);
  server.close();
  CHECK(worker.is_closed());
  CHECK(worker.batches().read(got, kSecondNs) == SharedRing::Outcome::kClosed);
}

}  // namespace naiad
