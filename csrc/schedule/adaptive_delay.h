#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "schedule/batch.h"

namespace naiad {

// How long a batch may wait for company so that its requests stay within a latency target: found from what
// comes and from what batches cost. The rule (docs/scheduling.md, "The delay that is found"):
//  1. what the target leaves beside the compute of a slow batch (p99) is the most that may be waited;
//  2. of that a share, which shrinks by a quarter when one of the last kLook batches came home later than the
//     target, and grows by a sixteenth of the whole when all of them were well within it;
//  3. nothing is waited for when requests are further apart than that, or when a row of a larger batch has
//     cost about as much as one of a smaller batch;
//  4. who waits gives up when for kQuietGaps times the usual distance of requests none has come, and no batch
//     has ended, whose clients might come again.
// It reads no clock: whoever feeds it says what time it was. Any thread.
class AdaptiveDelay {
 public:
  static constexpr std::size_t kLook = 16;     // batches between two changes of the share
  static constexpr std::size_t kWindow = 128;  // of batches and arrivals that are remembered
  static constexpr std::uint64_t kQuietGaps = 4;

  explicit AdaptiveDelay(std::uint64_t target_ns) : target_ns_(target_ns) {}

  // A request was queued; about in the order of their times.
  void arrived(std::uint64_t queued_ns);
  // A batch has run.
  void ran(const BatchTimes& times);

  // What a batch may wait now, from when its oldest request was queued; 0: not at all.
  std::uint64_t delay_ns() const;
  // And from when its newest one was, or a batch had run (whose clients may come again); some 50 us at least.
  std::uint64_t quiet_ns() const;
  std::uint64_t last_end_ns() const;

 private:
  // The last numbers of a kind.
  struct Window {
    std::vector<std::uint64_t> values;
    std::size_t next = 0;

    void add(std::uint64_t value);
    // The value below which `percent` of them lie; 0 of none.
    std::uint64_t at_percent(std::size_t percent) const;
  };
  // Batches of 1 row, of 2 and 3, of 4 to 7, and so on: what a row has lately cost.
  static constexpr std::size_t kNumSizes = 16;

  // With mutex_ held.
  bool larger_pays() const;
  void decide();

  const std::uint64_t target_ns_;
  mutable std::mutex mutex_;
  Window gaps_ns_;
  Window compute_ns_;
  std::array<std::uint64_t, kNumSizes> row_ns_{};  // 0: no such batch yet
  std::uint64_t last_queued_ns_ = 0;
  std::uint64_t last_end_ns_ = 0;
  std::uint64_t gap_ns_ = 0;  // the median; 0: not known
  std::size_t num_arrived_ = 0;
  std::size_t num_ran_ = 0;       // since the last look
  std::uint64_t latest_ns_ = 0;   // the longest way home since then
  std::uint64_t share_ = kWhole;  // of what the target leaves, in parts of kWhole
  static constexpr std::uint64_t kWhole = 1024;
  std::uint64_t delay_ns_ = 0;
};

}  // namespace naiad
