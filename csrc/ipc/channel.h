#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ipc/shared_ring.h"
#include "memory/arena.h"

namespace naiad {

// The memory between a server and one of its worker processes: four rings, and flags by slot for what need
// not wake anybody. An anonymous file that the worker inherits.
class Channel {
 public:
  static constexpr std::size_t kNumSlots = std::size_t{1} << 16;
  static constexpr std::size_t kRingBytes = std::size_t{1} << 20;

  // A request that the worker has; the slot is its number.
  struct RequestFlags {
    std::atomic<std::uint64_t> taken_responses;  // by the reader of its answer, ever; set by the server
    std::atomic<std::uint64_t> taken_bytes;
    std::atomic<std::uint32_t> cancelled;  // set by the server
    std::atomic<std::uint32_t> done;       // set by the worker: it holds nothing of it any more
  };

  // Makes one. Throws Error(kUnavailable).
  Channel();
  // The other end of one.
  explicit Channel(int fd);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  static std::size_t size_bytes();
  int fd() const { return arena_.fd(); }

  SharedRing& batches() { return batches_; }  // server -> worker
  SharedRing& done() { return done_; }        // worker -> server: how a batch went
  SharedRing& news() { return news_; }        // server -> worker: answers to its calls
  SharedRing& events() { return events_; }    // worker -> server: all else

  RequestFlags& request(std::size_t slot);
  // Set by the server: it holds a tensor of the worker's arena no more.
  std::atomic<std::uint32_t>& released(std::size_t slot);
  // Set by the worker: it holds an answer to a call no more.
  std::atomic<std::uint32_t>& answer_done(std::size_t slot);

  // Both sides give up what they wait for. Any thread.
  void close();
  bool is_closed() const;

 private:
  struct Layout;
  Layout& layout() const;

  Arena arena_;
  SharedRing batches_;
  SharedRing done_;
  SharedRing news_;
  SharedRing events_;
};

}  // namespace naiad
