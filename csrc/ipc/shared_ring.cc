#include "ipc/shared_ring.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "ipc/futex.h"
#include "queue/parker.h"

namespace naiad {
namespace {

constexpr std::uint64_t kLookAgainNs = 50'000'000;
// So often nothing comes of a message that has begun, until its writer counts as dead.
constexpr int kMaxStalls = 100;

}  // namespace

bool SharedRing::write(std::span<const std::byte> message) {
  if (message.size() > kMaxMessageBytes || closed_.load(std::memory_order_acquire) != 0) return false;
  if (try_write(message)) return true;
  const auto size = static_cast<std::uint32_t>(message.size());
  return put(std::as_bytes(std::span(&size, 1))) && put(message);
}

bool SharedRing::try_write(std::span<const std::byte> message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  const std::uint64_t used = position_ - state_.read.load(std::memory_order_acquire);
  if (used > bytes_.size() || bytes_.size() - used < message.size() + sizeof size) return false;
  copy_in(std::as_bytes(std::span(&size, 1)));
  copy_in(message);
  publish();
  return true;
}

bool SharedRing::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (closed_.load(std::memory_order_acquire) != 0) return false;
    const std::uint64_t used = position_ - state_.read.load(std::memory_order_acquire);
    if (used > bytes_.size()) return false;
    const std::size_t room = bytes_.size() - static_cast<std::size_t>(used);
    if (room == 0) {
      const std::uint32_t seen = state_.reads.load(std::memory_order_acquire);
      state_.writer_waits.store(1, std::memory_order_seq_cst);
      if (position_ - state_.read.load(std::memory_order_seq_cst) == bytes_.size()) {
        wait_shared(state_.reads, seen, kLookAgainNs);
      }
      state_.writer_waits.store(0, std::memory_order_relaxed);
      continue;
    }
    const auto part = bytes.first(std::min(room, bytes.size()));
    copy_in(part);
    publish();
    bytes = bytes.subspan(part.size());
  }
  return true;
}

void SharedRing::copy_in(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const std::size_t at = static_cast<std::size_t>(position_ % bytes_.size());
  const std::size_t first = std::min(bytes.size(), bytes_.size() - at);
  std::memcpy(bytes_.data() + at, bytes.data(), first);
  std::memcpy(bytes_.data(), bytes.data() + first, bytes.size() - first);
  position_ += bytes.size();
}

void SharedRing::publish() {
  state_.written.store(position_, std::memory_order_seq_cst);
  state_.writes.fetch_add(1, std::memory_order_seq_cst);
  if (state_.reader_waits.load(std::memory_order_seq_cst) == 0) return;
  wake_shared(state_.writes);
  if (event_fd_ >= 0) {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_fd_, &one, sizeof one));  // full: the reader is awake
  }
}

std::size_t SharedRing::available(std::uint64_t timeout_ns, std::size_t known) {
  const auto now = [&] {
    return static_cast<std::size_t>(state_.written.load(std::memory_order_acquire) - position_);
  };
  std::size_t bytes = now();
  if (bytes != known || timeout_ns == 0) return bytes;
  for (std::uint32_t i = 0; i < LinuxParking::default_max_spins() && bytes == known; ++i) {
    LinuxParking::relax();
    bytes = now();
  }
  if (bytes != known) return bytes;
  // After this, wake_all() is not missed: either it is seen closed, or the word has another value.
  const std::uint32_t seen = state_.writes.load(std::memory_order_acquire);
  if (closed_.load(std::memory_order_acquire) != 0) return bytes;
  state_.reader_waits.store(1, std::memory_order_seq_cst);
  if (state_.written.load(std::memory_order_seq_cst) - position_ == known) {
    wait_shared(state_.writes, seen, timeout_ns);
  }
  awake();
  return now();
}

bool SharedRing::prepare_sleep() {
  state_.reader_waits.store(1, std::memory_order_seq_cst);
  if (state_.written.load(std::memory_order_seq_cst) - position_ == part_) return true;
  awake();
  return false;
}

SharedRing::Outcome SharedRing::read(std::vector<std::byte>& message, std::uint64_t timeout_ns) {
  std::uint32_t size = 0;
  for (;;) {
    const std::size_t bytes = available(timeout_ns, part_);
    if (bytes > bytes_.size()) return Outcome::kBroken;
    if (bytes == part_) {
      return closed_.load(std::memory_order_acquire) != 0 ? Outcome::kClosed : Outcome::kNothing;
    }
    if (bytes >= sizeof size) {
      copy_out(std::as_writable_bytes(std::span(&size, 1)));
      if (size > kMaxMessageBytes) return Outcome::kBroken;
      // One that fits is taken when it is whole: who writes it may die in the midst.
      if (size + sizeof size > bytes_.size() || bytes >= size + sizeof size) break;
    }
    part_ = bytes;
  }
  part_ = 0;
  if (const Outcome outcome = take(std::as_writable_bytes(std::span(&size, 1)));
      outcome != Outcome::kMessage) {
    return outcome;
  }
  message.resize(size);
  return take(message);
}

void SharedRing::copy_out(std::span<std::byte> bytes) const {
  if (bytes.empty()) return;
  const std::size_t at = static_cast<std::size_t>(position_ % bytes_.size());
  const std::size_t first = std::min(bytes.size(), bytes_.size() - at);
  std::memcpy(bytes.data(), bytes_.data() + at, first);
  std::memcpy(bytes.data() + first, bytes_.data(), bytes.size() - first);
}

SharedRing::Outcome SharedRing::take(std::span<std::byte> bytes) {
  int stalls = 0;
  while (!bytes.empty()) {
    const std::size_t there = available(kLookAgainNs, 0);
    if (there > bytes_.size()) return Outcome::kBroken;
    if (there == 0) {
      if (closed_.load(std::memory_order_acquire) != 0) return Outcome::kClosed;
      if (++stalls == kMaxStalls) return Outcome::kBroken;
      continue;
    }
    const std::size_t part = std::min(there, bytes.size());
    copy_out(bytes.first(part));
    position_ += part;
    stalls = 0;
    bytes = bytes.subspan(part);
    state_.read.store(position_, std::memory_order_seq_cst);
    state_.reads.fetch_add(1, std::memory_order_seq_cst);
    if (state_.writer_waits.load(std::memory_order_seq_cst) != 0) wake_shared(state_.reads);
  }
  return Outcome::kMessage;
}

void SharedRing::wake_all() {
  state_.writes.fetch_add(1, std::memory_order_seq_cst);
  state_.reads.fetch_add(1, std::memory_order_seq_cst);
  wake_shared(state_.writes);
  wake_shared(state_.reads);
}

}  // namespace naiad
