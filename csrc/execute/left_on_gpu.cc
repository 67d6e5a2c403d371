#include "execute/left_on_gpu.h"

#include <memory>
#include <utility>

namespace naiad {

LeftOnGpu::LeftOnGpu(const Tensor& made, DevicePlace place)
    : Buffer(const_cast<std::byte*>(made.data), made.size_bytes, made.owner->device()),
      stream_(std::move(place.stream)),
      budget_(std::move(place.budget)),
      owner_(made.owner) {}

LeftOnGpu::~LeftOnGpu() {
  budget_->taken_up(size_bytes());
}

Tensor LeftOnGpu::leave(const Tensor& made, const DevicePlace& place) {
  const std::size_t limit_bytes = place.budget->limit_bytes();
  const std::size_t most_bytes =
      limit_bytes != 0 ? limit_bytes / 2 : place.pool.gpu().facts().memory_bytes / 4;
  if (!place.budget->try_leave(made.size_bytes, most_bytes)) return {};
  Tensor left = made;
  left.owner = BufferRef::adopt(std::make_unique<LeftOnGpu>(made, place).release());
  return left;
}

void LeftOnGpu::release() noexcept {
  const std::unique_ptr<LeftOnGpu> self(this);
}

}  // namespace naiad
