#pragma once

#include <bit>
#include <cstddef>

namespace naiad {

// Block sizes of the tensor pool: multiples of 64 bytes up to 256, then four per doubling (320, 384, 448,
// 512, 640, ...). A block is at most a quarter bigger than asked for (or 63 bytes, for the small ones), and
// from 16 KiB on it is a whole number of pages.
inline constexpr std::size_t kBlockUnitBytes = 64;
inline constexpr std::size_t kNumSizeClasses = 164;

// The class of the smallest blocks that hold `size_bytes`, which is at most block_size_bytes of the last
// class (256 TiB). Any thread.
constexpr std::size_t size_class_of(std::size_t size_bytes) {
  const std::size_t units = size_bytes == 0 ? 1 : (size_bytes - 1) / kBlockUnitBytes + 1;
  if (units <= 4) return units - 1;
  const std::size_t last = units - 1;
  const auto shift = static_cast<std::size_t>(std::bit_width(last)) - 3;
  return 4 * shift + (last >> shift);  // last >> shift is 4..7
}

// Any thread.
constexpr std::size_t block_size_bytes(std::size_t size_class) {
  if (size_class < 4) return (size_class + 1) * kBlockUnitBytes;
  return (size_class % 4 + 5) * kBlockUnitBytes << (size_class / 4 - 1);
}

inline constexpr std::size_t kMaxBlockBytes = block_size_bytes(kNumSizeClasses - 1);

}  // namespace naiad
