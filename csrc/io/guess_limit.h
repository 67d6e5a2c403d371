#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/sip_hash.h"
#include "io/client_network.h"
#include "io/key_ring.h"

namespace naiad {

// Slows down who guesses API keys: a client may show so many different wrong ones a minute. Until it may
// show the next one, no key of it is looked at but those that were good from there before, so that neither a
// client whose key has run out nor a guesser locks out the others behind their address. What it keeps has a
// fixed size; of more clients, those that guessed least are forgotten. Any thread.
class GuessLimit {
 public:
  static constexpr std::size_t kNumClients = 4096;

  // `max_guesses`: of a client in a minute; not 0.
  GuessLimit(std::shared_ptr<const Clock> clock, std::uint32_t max_guesses);

  // A client has shown a key: how many seconds from now it may come again, 0: it is answered. Of a key that
  // is good, one load where it was so before.
  std::uint32_t good_key(ClientNetwork client, const ApiKey::Digest& key);
  std::uint32_t wrong_key(ClientNetwork client, const ApiKey::Digest& key);

 private:
  static constexpr std::size_t kSlotsOfSet = 4;
  static constexpr std::size_t kNumSets = kNumClients / kSlotsOfSet;
  static constexpr std::size_t kNumKnown = 4096;
  static constexpr std::size_t kNumRepeated = 8;

  using Print = std::uint64_t;  // of a client, or of a client and a key; never 0

  struct Slot {
    Print client = 0;
    std::uint64_t paid_ns = 0;  // when all its guesses will be forgotten
    std::array<Print, kNumRepeated> guesses{};
    std::size_t num_guesses = 0;
  };

  Print print_of(ClientNetwork client, const ApiKey::Digest* key) const;
  // With the lock held.
  Slot& slot_of(Print client);
  std::uint32_t wait_seconds(const Slot& slot, std::uint64_t now_ns) const;

  const std::shared_ptr<const Clock> clock_;
  const std::uint64_t each_ns_;  // in which one guess is forgotten
  const std::uint64_t span_ns_;  // of all that a client may make at once but the last one
  const SipHash128::Key hash_key_;
  std::array<std::atomic<Print>, kNumKnown> known_{};  // good ones; pairs with nothing
  std::mutex mutex_;                                   // guards slots_
  std::vector<Slot> slots_;
};

}  // namespace naiad
