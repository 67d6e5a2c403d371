#include "execute/device_batch.h"

#include <utility>

#include "execute/backend.h"
#include "execute/device_slot.h"

namespace naiad {

void check_device(const Status& status, const std::string& doing) {
  if (status.ok()) return;
  if (status.code() == Code::kUnavailable) throw Error(status);
  throw DeviceError("the GPU failed to " + doing + ": " + status.message());
}

void DeviceBackend::execute(Execution&) {
  throw Error(Code::kInternal, "a model on a GPU is run by its instance alone");
}

Gpu& DeviceBatch::gpu() const {
  return slot_.streams_.place.pool.gpu();
}

GpuStream& DeviceBatch::stream() const {
  return *slot_.streams_.place.stream;
}

std::size_t DeviceBatch::slot() const {
  return slot_.number_;
}

Tensor DeviceBatch::input(std::size_t index) const {
  return slot_.inputs_[index];
}

BufferRef DeviceBatch::allocate(std::size_t size_bytes) {
  BufferRef block = slot_.allocate_for_work(size_bytes);
  kept_.push_back(block);
  return block;
}

void DeviceBatch::output(std::size_t index, Tensor tensor) {
  outputs_.push_back({index, std::move(tensor), {}, {}});
}

}  // namespace naiad
