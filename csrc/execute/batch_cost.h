#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace naiad {

// What batches of a model instance have lately cost: a moving average for each class of input sizes, since a
// model that is short for a small input may take long for a large one. Any thread; written by who runs a
// batch, one at a time. The averages are hints: they pair with nothing.
class BatchCost {
 public:
  // The greatest number while nothing is known of that size.
  std::uint64_t expected_ns(std::size_t input_bytes) const {
    const std::uint64_t average_ns = average_ns_[class_of(input_bytes)].load(std::memory_order_relaxed);
    return average_ns == kUnknown ? std::numeric_limits<std::uint64_t>::max() : average_ns;
  }

  void record(std::size_t input_bytes, std::uint64_t spent_ns) {
    std::atomic<std::uint64_t>& average_ns = average_ns_[class_of(input_bytes)];
    const std::uint64_t before_ns = average_ns.load(std::memory_order_relaxed);
    const std::uint64_t after_ns =
        before_ns == kUnknown ? spent_ns : before_ns - before_ns / 8 + spent_ns / 8;
    average_ns.store(std::max<std::uint64_t>(after_ns, 1), std::memory_order_relaxed);
  }

 private:
  static constexpr std::uint64_t kUnknown = 0;  // no batch takes no time
  // Up to 32 KiB, 64 KiB, and so on; the last one has no end.
  static constexpr std::size_t kFirstBytes = std::size_t{32} << 10;
  static constexpr std::size_t kNumClasses = 12;

  static std::size_t class_of(std::size_t input_bytes) {
    if (input_bytes <= kFirstBytes) return 0;
    return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width((input_bytes - 1) / kFirstBytes)),
                                 kNumClasses - 1);
  }

  std::array<std::atomic<std::uint64_t>, kNumClasses> average_ns_{};
};

}  // namespace naiad
