#include "base/sip_hash.h"

#include <bit>
#include <cstring>
#include <random>

namespace naiad {

static_assert(std::endian::native == std::endian::little, "words are read as they lie");

SipHash128::SipHash128(Key key)
    : v0_(key[0] ^ 0x736f6d6570736575ULL),
      v1_(key[1] ^ 0x646f72616e646f6dULL ^ 0xeeULL),  // 0xee: the form with 128 bits
      v2_(key[0] ^ 0x6c7967656e657261ULL),
      v3_(key[1] ^ 0x7465646279746573ULL) {}

void SipHash128::round() {
  v0_ += v1_;
  v1_ = std::rotl(v1_, 13) ^ v0_;
  v0_ = std::rotl(v0_, 32);
  v2_ += v3_;
  v3_ = std::rotl(v3_, 16) ^ v2_;
  v0_ += v3_;
  v3_ = std::rotl(v3_, 21) ^ v0_;
  v2_ += v1_;
  v1_ = std::rotl(v1_, 17) ^ v2_;
  v2_ = std::rotl(v2_, 32);
}

void SipHash128::compress(std::uint64_t word) {
  v3_ ^= word;
  round();
  round();
  v0_ ^= word;
}

void SipHash128::update(std::span<const std::byte> bytes) {
  const std::byte* next = bytes.data();
  std::size_t left = bytes.size();
  while (left > 0 && size_ % 8 != 0) {
    tail_ |= std::to_integer<std::uint64_t>(*next++) << (8 * (size_++ % 8));
    --left;
    if (size_ % 8 == 0) {
      compress(tail_);
      tail_ = 0;
    }
  }
  for (; left >= 8; left -= 8, next += 8, size_ += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, next, sizeof word);
    compress(word);
  }
  for (; left > 0; --left) tail_ |= std::to_integer<std::uint64_t>(*next++) << (8 * (size_++ % 8));
}

void SipHash128::update(std::uint64_t number) {
  update(std::as_bytes(std::span(&number, 1)));
}

Digest128 SipHash128::digest() {
  compress(tail_ | (static_cast<std::uint64_t>(size_) << 56));
  v2_ ^= 0xee;
  for (int i = 0; i < 4; ++i) round();
  const std::uint64_t low = v0_ ^ v1_ ^ v2_ ^ v3_;
  v1_ ^= 0xdd;
  for (int i = 0; i < 4; ++i) round();
  return {low, v0_ ^ v1_ ^ v2_ ^ v3_};
}

SipHash128::Key random_sip_key() {
  std::random_device random;
  const auto word = [&] { return static_cast<std::uint64_t>(random()) << 32 | random(); };
  return {word(), word()};
}

}  // namespace naiad
