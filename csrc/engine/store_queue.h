#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/response_store.h"

namespace naiad {

// A store whose work is done by threads that are not the core's: they take what waits, all at once, and say
// what they found. Bounded: what would be too much is a miss, or not kept. Any thread.
class StoreQueue final : public ResponseStore {
 public:
  static constexpr std::size_t kMaxLookUps = 8192;         // that are not answered
  static constexpr std::size_t kMaxEntryBytes = 64 << 20;  // that wait to be kept
  static constexpr std::size_t kMaxWork = 128;             // of each kind, that are taken at once

  struct LookUp {
    std::uint64_t ticket = 0;
    Digest128 key;
  };
  struct Entry {
    Digest128 key;
    std::string bytes;
  };
  struct Work {
    std::vector<LookUp> look_ups;
    std::vector<Entry> entries;
  };
  struct Counts {
    std::uint64_t skipped = 0;  // look-ups that were misses without a look
    std::uint64_t dropped = 0;  // entries that were not kept
  };

  // `clock` outlives it.
  StoreQueue(SipHash128::Key hash_key, const Clock& clock) : hash_key_(hash_key), clock_(clock) {}
  // Closes.
  ~StoreQueue() override { close(); }

  SipHash128::Key hash_key() const override { return hash_key_; }
  bool look_up(const Digest128& key, Found found) override;
  void keep(const Digest128& key, std::string entry) override;

  // What waits. Blocks until something does; empty when it is closed.
  std::optional<Work> take();
  // The outcome of a look-up that was taken; nothing for one that is known no more.
  void answer(std::uint64_t ticket, std::optional<std::string> entry);
  // Takes nothing more for a while, and lets go of what waits: the store does not answer.
  void pause(std::uint64_t duration_ns);
  // Takes nothing more; all look-ups are misses.
  void close();

  Counts counts() const;

 private:
  // Look-ups whose callbacks are told without the lock.
  using Outstanding = std::unordered_map<std::uint64_t, Found>;

  bool rests() const { return closed_ || clock_.now_ns() < rests_until_ns_; }

  const SipHash128::Key hash_key_;
  const Clock& clock_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::deque<LookUp> look_ups_;
  std::deque<Entry> entries_;
  std::size_t entry_bytes_ = 0;  // of entries_
  Outstanding outstanding_;
  std::uint64_t last_ticket_ = 0;
  std::uint64_t rests_until_ns_ = 0;
  bool closed_ = false;
  Counts counts_;
};

}  // namespace naiad
