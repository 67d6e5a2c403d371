#include "io/guess_limit.h"

#include <algorithm>
#include <span>
#include <utility>

namespace naiad {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kMinuteNs = 60 * kNsPerSecond;

}  // namespace

GuessLimit::GuessLimit(std::shared_ptr<const Clock> clock, std::uint32_t max_guesses)
    : clock_(std::move(clock)),
      each_ns_(kMinuteNs / max_guesses),
      span_ns_(each_ns_ * (max_guesses - 1)),
      hash_key_(random_sip_key()),
      slots_(kNumClients) {}

std::uint32_t GuessLimit::good_key(ClientNetwork client, const ApiKey::Digest& key) {
  const Print print = print_of(client, &key);
  std::atomic<Print>& known = known_[print % kNumKnown];
  if (known.load(std::memory_order_relaxed) == print) return 0;
  const Print of_client = print_of(client, nullptr);
  std::uint32_t wait_s = 0;
  {
    const std::lock_guard lock(mutex_);
    const Slot& slot = slot_of(of_client);
    if (slot.client == of_client) wait_s = wait_seconds(slot, clock_->now_ns());
  }
  if (wait_s == 0) known.store(print, std::memory_order_relaxed);
  return wait_s;
}

std::uint32_t GuessLimit::wrong_key(ClientNetwork client, const ApiKey::Digest& key) {
  const Print print = print_of(client, &key);
  const Print of_client = print_of(client, nullptr);
  const std::lock_guard lock(mutex_);
  const std::uint64_t now_ns = clock_->now_ns();
  Slot& slot = slot_of(of_client);
  if (slot.client != of_client) slot = {.client = of_client};
  // Who shows the same one again finds out nothing.
  if (std::ranges::find(slot.guesses, print) != slot.guesses.end()) return 0;
  if (const std::uint32_t wait_s = wait_seconds(slot, now_ns); wait_s != 0) return wait_s;
  slot.paid_ns = std::max(slot.paid_ns, now_ns) + each_ns_;
  slot.guesses[slot.num_guesses++ % kNumRepeated] = print;
  return 0;
}

GuessLimit::Print GuessLimit::print_of(ClientNetwork client, const ApiKey::Digest* key) const {
  SipHash128 hash(hash_key_);
  hash.update(client);
  if (key != nullptr) hash.update(std::as_bytes(std::span(*key)));
  return hash.digest().low | 1;
}

// Its own, or else the one to take for it.
GuessLimit::Slot& GuessLimit::slot_of(Print client) {
  // The lowest bit of a print is always set.
  const std::size_t set = (client >> 1) % kNumSets;
  const auto slots = std::span(slots_).subspan(set * kSlotsOfSet, kSlotsOfSet);
  const auto found = std::ranges::find(slots, client, &Slot::client);
  return found != slots.end() ? *found : *std::ranges::min_element(slots, {}, &Slot::paid_ns);
}

std::uint32_t GuessLimit::wait_seconds(const Slot& slot, std::uint64_t now_ns) const {
  if (slot.paid_ns <= now_ns + span_ns_) return 0;
  const std::uint64_t wait_ns = slot.paid_ns - now_ns - span_ns_;
  return static_cast<std::uint32_t>((wait_ns + kNsPerSecond - 1) / kNsPerSecond);
}

}  // namespace naiad
