#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace naiad {

// 128 bits of a keyed hash.
struct Digest128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend auto operator<=>(const Digest128&, const Digest128&) = default;
};

// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the
// long output of their reference code): who does not know the key cannot make two inputs meet. Not
// thread-safe.
class SipHash128 {
 public:
  using Key = std::array<std::uint64_t, 2>;

  explicit SipHash128(Key key);

  // Appends bytes: any cut into calls gives the same digest.
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  // Appends a number, as 8 bytes in little-endian order.
  void update(std::uint64_t number);

  // Of all that was appended. Once.
  Digest128 digest();

 private:
  void compress(std::uint64_t word);
  void round();

  std::uint64_t v0_, v1_, v2_, v3_;
  std::uint64_t tail_ = 0;  // the last bytes, fewer than 8, lowest first
  std::size_t size_ = 0;
};

// A key that nobody knows. Any thread.
SipHash128::Key random_sip_key();

}  // namespace naiad
