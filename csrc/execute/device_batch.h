#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "execute/execution.h"
#include "memory/device_pool.h"
#include "memory/gpu.h"

namespace naiad {

// The GPU has failed, and with it the instance: its batches fail, and it is made anew.
class DeviceError : public Error {
 public:
  explicit DeviceError(const std::string& message) : Error(Code::kInternal, message) {}
};

// Throws DeviceError for what a GPU has failed with, a plain Error for what it only refused; returns when all
// went well. `doing` is what was tried ("copy an input").
void check_device(const Status& status, const std::string& doing);

// Whether this input is on the host also where the model runs on a GPU: no kernel could read it as it stands,
// or the host decides by it.
inline bool stays_on_host(const TensorSpec& spec) {
  return spec.dtype == DataType::kBytes || spec.shape_values || spec.generated;
}

class DeviceSlot;

// One batch while it is on a GPU. A DeviceBackend reads its inputs, queues its work on stream(), and says
// where the outputs are. Instance thread.
class DeviceBatch {
 public:
  DeviceBatch(DeviceSlot& slot, Execution& execution) : slot_(slot), execution_(execution) {}
  DeviceBatch(const DeviceBatch&) = delete;
  DeviceBatch& operator=(const DeviceBatch&) = delete;

  // The same batch as the host sees it: rows, requests, parameters, failures of single requests.
  Execution& execution() const { return execution_; }
  Gpu& gpu() const;
  // Where the work of the batch is queued. The one stream of the instance: work of the batch before it comes
  // before.
  GpuStream& stream() const;
  // 0 or 1: batches that are under way at the same time have different ones. For what a backend keeps of its
  // own for each of them.
  std::size_t slot() const;

  // Input `index` of the whole batch, as Execution::input() gives it, but on the GPU: work that is queued on
  // stream() after this call finds it there. On the host (device() of its owner tells) are inputs of type
  // BYTES, those of which the values are shapes, and those made of the batch. Not to be written to: others
  // may read the same bytes.
  Tensor input(std::size_t index) const;
  // Memory on the GPU for an output, or for the work itself; it stays until the batch is done. Throws as
  // above.
  BufferRef allocate(std::size_t size_bytes);

  // Output `index` of the whole batch, in the model's shape: on the GPU, where work queued on stream() before
  // enqueue() returns writes it, or on the host and there already.
  void output(std::size_t index, Tensor tensor);
  // Keeps a buffer until the batch is done.
  void keep(BufferRef buffer) { kept_.push_back(std::move(buffer)); }

  struct Output {
    std::size_t index = 0;
    Tensor made;    // by the backend
    Tensor copied;  // on the host; not present() where it was made there, or nobody takes it there
    Tensor left;    // on the GPU, for who takes it there
  };

 private:
  friend class DeviceSlot;

  DeviceSlot& slot_;
  Execution& execution_;
  std::vector<BufferRef> kept_;
  std::vector<Output> outputs_;
};

}  // namespace naiad
