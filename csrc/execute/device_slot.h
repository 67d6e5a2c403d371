#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "execute/backend.h"
#include "execute/batch_graph.h"
#include "execute/device_batch.h"
#include "execute/gather_plan.h"
#include "memory/device_pool.h"

namespace naiad {

// What the slots of an instance share: its place on the GPU, a stream for what comes in and one for what goes
// out, so that both go on beside the computing.
struct DeviceStreams {
  DevicePlace place;
  DevicePool::Stream copy_in;
  DevicePool::Stream copy_out;

  // Throws Error when they cannot be made.
  static DeviceStreams make(DevicePool& pool, DevicePool::Budget budget, StreamPriority priority);
};

// One of the batches that an instance has on its GPU at a time: from its requests' bytes to the outputs in
// memory of the host. start() is called by the instance's thread, the rest by the one that waits; never both
// at once.
class DeviceSlot {
 public:
  DeviceSlot(const DeviceStreams& streams, std::size_t number);
  DeviceSlot(const DeviceSlot&) = delete;
  DeviceSlot& operator=(const DeviceSlot&) = delete;
  ~DeviceSlot();

  // Queues a batch: its inputs' way in, the backend's work, its outputs' way out. Doesn't wait. What fails,
  // fails in finish().
  void start(DeviceBackend& backend, Execution& execution);

  // Waits for the batch's end and hands its outputs to the execution; what has failed fails its requests. The
  // slot is free then, and holds nothing of the batch. False: the device has failed.
  bool finish(DeviceBackend& backend);

 private:
  // Runs it; what it throws is the failure of the batch.
  template <typename Work>
  void attempt(const Work& work);
  friend class DeviceBatch;

  // All throw Error, and DeviceError.
  void stage_inputs();
  Tensor stage(std::size_t index);
  std::vector<GatherPiece> pieces_of(std::size_t index) const;
  GatherPiece piece_of(const Tensor& tensor) const;
  void gather(std::span<const GatherPiece> pieces, std::byte* to);
  void copy(const GatherPiece& piece, std::byte* to);
  // The backend's work, or the graph of it.
  void compute(DeviceBackend& backend);
  // Has the work captured that the backend has queued already for this batch. What can't be captured is run
  // as it is.
  void capture(DeviceBackend& backend);
  // So that batches to come don't write over what others still read.
  void copy_what_stays();
  void queue_outputs();
  // What was queued, however far that came, is before finished_.
  void close();
  void deliver(DeviceBackend& backend);

  BufferRef allocate(std::size_t size_bytes, const DevicePool::Stream& stream);
  BufferRef allocate_for_work(std::size_t size_bytes);
  BufferRef allocate_for_input(std::size_t index, std::size_t size_bytes);

  const DeviceStreams& streams_;
  const std::size_t number_;
  std::unique_ptr<GpuEvent> staged_;    // the inputs are on the GPU
  std::unique_ptr<GpuEvent> computed_;  // the outputs are
  std::unique_ptr<GpuEvent> finished_;  // they are on the host

  Execution* execution_ = nullptr;  // while there is a batch
  std::optional<DeviceBatch> batch_;
  std::vector<Tensor> inputs_;
  BatchGraphs graphs_;
  BatchGraph* graph_ = nullptr;  // of the batch
  bool captures_ = false;
  std::optional<Status> failure_;
  bool device_failed_ = false;
};

}  // namespace naiad
