#pragma once

#include <cstddef>
#include <cstdint>

namespace naiad {

// How requests of one priority wait (model_configuration.md, "Queue Policy").
struct QueuePolicy {
  // What becomes of one whose time is over: refused, or run behind all others of its priority.
  bool delays = false;
  std::uint64_t default_timeout_ns = 0;  // 0: none
  // Whether a request's own timeout counts where it is shorter, or where there is no other.
  bool allow_override = true;
  std::size_t max_size = 0;  // requests that may wait; 0: as many as the model's queue holds
};

}  // namespace naiad
