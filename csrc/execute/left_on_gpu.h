#pragma once

#include "memory/buffer.h"
#include "memory/device_pool.h"
#include "memory/tensor.h"

namespace naiad {

// An output that outlives its batch on the GPU. What a framework has allocated may need the stream at its
// end, when the instance is gone. Any thread.
class LeftOnGpu final : public Buffer {
 public:
  LeftOnGpu(const Tensor& made, DevicePlace place);
  ~LeftOnGpu() override;

  // The output for those who read it there. Not present() where too much is left there already.
  static Tensor leave(const Tensor& made, const DevicePlace& place);

 private:
  void release() noexcept override;

  const DevicePool::Stream stream_;
  const DevicePool::Budget budget_;
  const BufferRef owner_;  // last: goes first
};

}  // namespace naiad
