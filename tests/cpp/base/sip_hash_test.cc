#include "base/sip_hash.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <vector>

using namespace naiad;

namespace {

std::vector<std::byte> counting(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

SipHash128::Key counting_key() {
  SipHash128::Key key;
  const auto bytes = counting(sizeof key);
  std::memcpy(key.data(), bytes.data(), sizeof key);
  return key;
}

}  // namespace

// The vectors of the reference implementation (vectors_sip128), key 00 01 ... 0f, input 00 01 ..., whose
// bytes are given in order: low and high are read from them in little-endian order.
TEST_CASE("the published vectors") {
  const auto digest_of = [](std::size_t size) {
    SipHash128 hash(counting_key());
    hash.update(counting(size));
    return hash.digest();
  };
  CHECK(digest_of(0) == Digest128{0xe6a825ba047f81a3ULL, 0x930255c71472f66dULL});
  CHECK(digest_of(1) == Digest128{0x44af996bd8c187daULL, 0x45fc229b11597634ULL});
}

TEST_CASE("property: however the bytes are cut, the digest is the same; one bit changes it") {
  std::mt19937 random(20261127);
  const SipHash128::Key key = random_sip_key();
  for (int round = 0; round < 500; ++round) {
    std::vector<std::byte> bytes(random() % 100);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    SipHash128 whole(key);
    whole.update(bytes);
    SipHash128 cut(key);
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t size = std::min<std::size_t>(random() % 12, bytes.size() - at);
      cut.update(std::span(bytes).subspan(at, size));
      at += size;
    }
    const Digest128 digest = whole.digest();
    REQUIRE(cut.digest() == digest);
    if (bytes.empty()) continue;
    bytes[random() % bytes.size()] ^= static_cast<std::byte>(1U << random() % 8);
    SipHash128 other(key);
    other.update(bytes);
    REQUIRE(other.digest() != digest);
  }
}
