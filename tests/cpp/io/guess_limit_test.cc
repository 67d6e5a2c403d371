#include "io/guess_limit.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

namespace naiad::test {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint32_t kGuesses = 6;  // a minute: one is forgotten every 10 s

ApiKey::Digest key(unsigned number) {
  ApiKey::Digest digest{};
  digest[0] = static_cast<unsigned char>(number);
  digest[1] = static_cast<unsigned char>(number >> 8);
  digest[2] = static_cast<unsigned char>(number >> 16);
  return digest;
}

struct House {
  std::shared_ptr<FakeClock> clock = std::make_shared<FakeClock>();
  GuessLimit limit{clock, kGuesses};

  void guess_all(ClientNetwork client, unsigned from = 0) {
    for (unsigned i = 0; i < kGuesses; ++i) CHECK(limit.wrong_key(client, key(from + i)) == 0);
  }
};

constexpr ClientNetwork kGuesser = 7;
constexpr ClientNetwork kOther = 8;
constexpr unsigned kGood = 1'000'000;

}  // namespace

TEST_CASE("who has guessed so often has to wait, and may guess again as guesses are forgotten") {
  House house;
  house.guess_all(kGuesser);
  CHECK(house.limit.wrong_key(kGuesser, key(50)) == 10);
  house.clock->advance(9 * kSecondNs);
  CHECK(house.limit.wrong_key(kGuesser, key(50)) == 1);
  house.clock->advance(kSecondNs);
  CHECK(house.limit.wrong_key(kGuesser, key(50)) == 0);
  CHECK(house.limit.wrong_key(kGuesser, key(51)) == 10);
  house.clock->advance(60 * kSecondNs);
  house.guess_all(kGuesser, 100);
  CHECK(house.limit.wrong_key(kGuesser, key(106)) == 10);
}

TEST_CASE("guesses that were not answered do not make it longer") {
  House house;
  house.guess_all(kGuesser);
  for (unsigned i = 0; i < 100; ++i) CHECK(house.limit.wrong_key(kGuesser, key(50 + i)) == 10);
  house.clock->advance(10 * kSecondNs);
  CHECK(house.limit.wrong_key(kGuesser, key(50)) == 0);
}

TEST_CASE("the same wrong key again is no guess") {
  House house;
  for (unsigned i = 0; i < 1000; ++i) CHECK(house.limit.wrong_key(kGuesser, key(i % 3)) == 0);
  CHECK(house.limit.wrong_key(kGuesser, key(3)) == 0);
  CHECK(house.limit.wrong_key(kGuesser, key(4)) == 0);
  CHECK(house.limit.wrong_key(kGuesser, key(5)) == 0);
  CHECK(house.limit.wrong_key(kGuesser, key(6)) == 10);
  CHECK(house.limit.wrong_key(kGuesser, key(0)) == 0);
}

TEST_CASE("a guesser finds out nothing of a good key, and others are answered as before") {
  House house;
  CHECK(house.limit.good_key(kGuesser, key(kGood)) == 0);
  house.guess_all(kGuesser);
  CHECK(house.limit.good_key(kGuesser, key(kGood)) == 0);
  CHECK(house.limit.good_key(kGuesser, key(kGood + 1)) == 10);
  CHECK(house.limit.good_key(kOther, key(kGood + 1)) == 0);
  CHECK(house.limit.wrong_key(kOther, key(50)) == 0);
  house.clock->advance(10 * kSecondNs);
  CHECK(house.limit.good_key(kGuesser, key(kGood + 1)) == 0);
}

TEST_CASE("of many clients those that guessed least are forgotten") {
  House house;
  house.guess_all(kGuesser);
  for (unsigned i = 0; i < 20 * GuessLimit::kNumClients; ++i) {
    CHECK(house.limit.wrong_key(1000 + i, key(0)) == 0);
  }
  CHECK(house.limit.wrong_key(kGuesser, key(50)) == 10);
}

TEST_CASE("one guess a minute is a limit too") {
  GuessLimit limit(std::make_shared<FakeClock>(), 1);
  CHECK(limit.wrong_key(kGuesser, key(0)) == 0);
  CHECK(limit.wrong_key(kGuesser, key(1)) == 60);
}

TEST_CASE("clients are told apart by their networks") {
  const auto network = [](const std::string& text) { return client_network(text); };
  CHECK(network("192.0.2.1") != network("192.0.2.2"));
  CHECK(network("192.0.2.1") == network("::ffff:192.0.2.1"));
  CHECK(network("2001:db8::1") == network("2001:db8::ffff:1"));
  CHECK(network("2001:db8::1") != network("2001:db8:0:1::1"));
  CHECK(network("fe80::1%eth0") == network("fe80::1"));
  CHECK(network("0.0.0.0") != 0);
  CHECK(network("") == 0);
  CHECK(network("host") == 0);
  CHECK(client_network(-1) == 0);
}

TEST_CASE("the other end of a socket has the network of its address") {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener, 1) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(client, reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(client_network(client) == client_network("127.0.0.1"));
  ::close(client);
  ::close(listener);
}

}  // namespace naiad::test
