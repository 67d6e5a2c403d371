#pragma once

#include <algorithm>
#include <cstdint>

namespace naiad {

// How often something may happen: `burst` times at once, `per_second` times a second in the long run (a token
// bucket). I/O thread.
class Allowance {
 public:
  Allowance(std::uint64_t burst, std::uint64_t per_second)
      : limit_(burst * kSecondNs), per_second_(per_second), left_(limit_) {}

  // Whether it may happen once more. `now_ns` does not go back.
  bool take(std::uint64_t now_ns) {
    const std::uint64_t passed_ns = std::min(now_ns - last_ns_, kSecondNs * 3600);
    last_ns_ = now_ns;
    left_ = std::min(limit_, left_ + passed_ns * per_second_);
    if (left_ < kSecondNs) return false;
    left_ -= kSecondNs;
    return true;
  }

 private:
  static constexpr std::uint64_t kSecondNs = 1'000'000'000;

  const std::uint64_t limit_;  // in parts of 1e-9, as left_
  const std::uint64_t per_second_;
  std::uint64_t left_;
  std::uint64_t last_ns_ = 0;
};

}  // namespace naiad
