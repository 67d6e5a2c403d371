#include "memory/shared_window.h"

namespace naiad {
namespace {

// The bytes of a window on a GPU, while somebody uses them there.
class WindowOnGpu final : public Buffer {
 public:
  WindowOnGpu(std::byte* data, Device device, SharedWindow window)
      : Buffer(data, window.size_bytes(), device), window_(std::move(window)) {}
  ~WindowOnGpu() override = default;

 private:
  void release() noexcept override { const std::unique_ptr<WindowOnGpu> self(this); }

  const SharedWindow window_;
};

}  // namespace

BufferRef SharedWindow::on_gpu() const {
  // A buffer has no way to say that nobody writes to it.
  auto* const data = const_cast<std::byte*>(region_->gpu_data()) + at_bytes_;
  return BufferRef::adopt(std::make_unique<WindowOnGpu>(data, region_->gpu(), *this).release());
}

}  // namespace naiad
