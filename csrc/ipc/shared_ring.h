#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace naiad {

// Messages from one process to another, in order, through memory that they share. One thread of one process
// reads; the writers of the other one take turns by themselves. Nothing in the memory is trusted: positions
// that make no sense break the ring, each message is copied out before it is looked at, and none is longer
// than kMaxMessageBytes.
class SharedRing {
 public:
  // What both sides see. All zero at first.
  struct State {
    alignas(64) std::atomic<std::uint64_t> written;  // bytes ever; release, pairs with the reader's acquire
    std::atomic<std::uint32_t> writes;               // futex word of the reader
    std::atomic<std::uint32_t> reader_waits;         // seq_cst with `written`: one sees the other
    alignas(64) std::atomic<std::uint64_t> read;     // bytes ever; release, pairs with the writer's acquire
    std::atomic<std::uint32_t> reads;                // futex word of the writer
    std::atomic<std::uint32_t> writer_waits;         // seq_cst with `read`
  };
  static constexpr std::size_t kMaxMessageBytes = std::size_t{256} << 20;

  // `bytes` hold the ring's content, a power of two of them. When `closed` is set, both sides give up.
  SharedRing(State& state, std::span<std::byte> bytes, const std::atomic<std::uint32_t>& closed)
      : state_(state), bytes_(bytes), closed_(closed) {}

  // Blocks while there is no room; false when the ring is closed, or the message too long.
  bool write(std::span<const std::byte> message);
  // False when there is no room for it now. Never blocks.
  bool try_write(std::span<const std::byte> message);
  // Also written to when the reader may be asleep; -1: nothing is.
  void wake_by(int event_fd) { event_fd_ = event_fd; }

  enum class Outcome : unsigned char { kMessage, kNothing, kClosed, kBroken };
  // Blocks until there is a message, for about `timeout_ns` at most; 0: not at all.
  Outcome read(std::vector<std::byte>& message, std::uint64_t timeout_ns);
  // Before the reader sleeps by other means than read(), and after: false when there is something to read.
  bool prepare_sleep();
  void awake() { state_.reader_waits.store(0, std::memory_order_relaxed); }

  // Wakes both sides, to see that the ring is closed. Any thread.
  void wake_all();

 private:
  bool put(std::span<const std::byte> bytes);
  void copy_in(std::span<const std::byte> bytes);
  void publish();
  // Waits until there are other than the `known` bytes; their number, `known` after `timeout_ns`, or nothing
  // that can be (more than the ring holds).
  std::size_t available(std::uint64_t timeout_ns, std::size_t known);
  // The next bytes, which are there; without taking them.
  void copy_out(std::span<std::byte> bytes) const;
  Outcome take(std::span<std::byte> bytes);

  State& state_;
  const std::span<std::byte> bytes_;
  const std::atomic<std::uint32_t>& closed_;
  int event_fd_ = -1;
  std::uint64_t position_ = 0;  // this side's own: what the other one could overwrite is not asked
  std::size_t part_ = 0;        // the reader's: so much is there of a message that is not whole yet
};

}  // namespace naiad
