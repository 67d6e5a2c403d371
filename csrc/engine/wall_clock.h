#pragma once

#include <chrono>
#include <cstdint>

namespace naiad {

// Milliseconds since the epoch: when something was last done, for people. Durations come from the Clock.
inline std::uint64_t wall_clock_ms() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

}  // namespace naiad
