#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace naiad::test {

// How many seeds a simulation replays: NAIAD_SEEDS (`make soak`), or `usual`. One seed is one replay; the
// first is NAIAD_FIRST_SEED, or 0.
struct Seeds {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
};

inline Seeds seeds(std::uint32_t usual = 1000) {
  const auto number = [](const char* name, std::uint32_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::stoul(text));
  };
  const std::uint32_t first = number("NAIAD_FIRST_SEED", 0);
  return {first, first + number("NAIAD_SEEDS", usual)};
}

}  // namespace naiad::test
