#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "memory/copy_piece.h"
#include "memory/stream_priority.h"

namespace naiad {

// One GPU, as the core works with it: streams, events, memory, copies. Implemented by csrc/cuda, refused by
// csrc/no_cuda, and by tests/cpp/fakes/fake_gpu.h for machines without one.
//
// Calls queue work and return; nothing waits for the device but GpuEvent::wait, GpuStream::drain and the end
// of a GpuAllocation. A Status is kUnavailable where the GPU has no memory left, and kInternal where the
// device has failed: then it may have failed for good, also when the call was not the one that did it.

struct GpuFacts {
  std::string name;
  std::size_t memory_bytes = 0;
  int major = 0;  // compute capability
  int minor = 0;
  bool reads_pinned = false;  // kernels may read and write pinned memory of the host where it lies
  std::string uuid{};         // as NVML has it: GPU-...
};

// Work that was captured once, to be queued as often as wanted with the same addresses.
class GpuGraph {
 public:
  GpuGraph() = default;
  virtual ~GpuGraph() = default;
  GpuGraph(const GpuGraph&) = delete;
  GpuGraph& operator=(const GpuGraph&) = delete;
};

class GpuEvent;

// A queue of work that is done in order. One thread at a time. What a copy reads and writes stays where it is
// until the work is done. Its end does not wait: work that is queued is still done.
class GpuStream {
 public:
  GpuStream() = default;
  virtual ~GpuStream() = default;
  GpuStream(const GpuStream&) = delete;
  GpuStream& operator=(const GpuStream&) = delete;

  // From the host to this GPU, back, within it. Copies from and to memory of the host that is not pinned are
  // correct, but the caller may wait for them.
  virtual Status copy_to_gpu(std::byte* to, std::span<const std::byte> from) = 0;
  virtual Status copy_to_host(std::span<std::byte> to, const std::byte* from) = 0;
  virtual Status copy_within(std::byte* to, std::span<const std::byte> from) = 0;
  // From the GPU of number `device`; over the bus, or through the host where the two don't see each other.
  virtual Status copy_from_peer(std::byte* to, int device, std::span<const std::byte> from) = 0;
  // All pieces in one launch of a kernel (one for each kMaxCopyPieces of them): gathers and scatters. Each
  // lies on this GPU or, where facts().reads_pinned, in pinned memory; their targets do not overlap. The list
  // may go once this returns.
  virtual Status copy_pieces(std::span<const CopyPiece> pieces) = 0;

  // What is queued from now on waits for the event as it was recorded last.
  virtual Status wait(const GpuEvent& event) = 0;

  // What is queued from now on is not done but captured, until end_capture() gives it as a graph. Until then
  // the calling thread queues nothing elsewhere.
  virtual Status begin_capture() = 0;
  virtual Status end_capture(std::unique_ptr<GpuGraph>& graph) = 0;
  // The graph lives until its work is done.
  virtual Status launch(const GpuGraph& graph) = 0;

  // Blocks until all that is queued is done. For the end of an instance, and where no event can be had: while
  // batches run, events are what is waited for.
  virtual Status drain() = 0;

  // What frameworks call this stream: a cudaStream_t.
  virtual void* native() const = 0;
};

// A point in a stream. One that was never recorded is reached.
class GpuEvent {
 public:
  GpuEvent() = default;
  virtual ~GpuEvent() = default;
  GpuEvent(const GpuEvent&) = delete;
  GpuEvent& operator=(const GpuEvent&) = delete;

  // It is reached when all that is queued on the stream now has been done. One thread at a time for one
  // event; any thread for the stream. kUnavailable while the stream captures.
  virtual Status record(GpuStream& stream) = 0;
  // Any thread; kInternal when the work that it waits for has failed.
  virtual Status query(bool& is_reached) const = 0;
  // Blocks until it is reached; sleeps, does not spin.
  virtual Status wait() const = 0;
};

// Memory of a GPU. Its end may wait for all work of the device: the pool keeps it instead.
class GpuAllocation {
 public:
  GpuAllocation() = default;
  virtual ~GpuAllocation() = default;
  GpuAllocation(const GpuAllocation&) = delete;
  GpuAllocation& operator=(const GpuAllocation&) = delete;

  // At least 256-byte aligned.
  virtual std::byte* data() const = 0;
  virtual std::size_t size_bytes() const = 0;
};

struct GpuMemoryUse {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
};

// Any thread. It outlives all that it made.
class Gpu {
 public:
  Gpu() = default;
  virtual ~Gpu() = default;
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  virtual int device() const = 0;
  virtual const GpuFacts& facts() const = 0;
  virtual Status memory(GpuMemoryUse& use) const = 0;

  // The calling thread works with this GPU from now on, whichever its streams: its calls need not change over
  // to it each time.
  virtual void bind_thread() {}

  virtual Status make_stream(StreamPriority priority, std::unique_ptr<GpuStream>& stream) = 0;
  virtual Status make_event(std::unique_ptr<GpuEvent>& event) = 0;
  virtual Status allocate(std::size_t size_bytes, std::unique_ptr<GpuAllocation>& allocation) = 0;
};

// The GPU of number `device`. kUnsupported with one sentence where there is none that could be used,
// kInvalidArgument where there is none of that number. Any thread.
Status open_gpu(int device, std::shared_ptr<Gpu>& gpu);

}  // namespace naiad
