#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "memory/buffer.h"
#include "memory/shared_region.h"

namespace naiad {

// The place of one tensor in a shared region; empty by default. It keeps the region open: a region that is
// unregistered meanwhile stays usable for who has a window of it. Made by SharedRegions::lease, which has
// checked that it lies in the region.
class SharedWindow {
 public:
  SharedWindow() = default;
  SharedWindow(std::shared_ptr<const SharedRegion> region, std::uint64_t at_bytes, std::size_t size_bytes)
      : region_(std::move(region)), at_bytes_(at_bytes), size_bytes_(size_bytes) {}

  explicit operator bool() const { return region_ != nullptr; }
  std::size_t size_bytes() const { return size_bytes_; }

  // Whether it lies on a GPU.
  bool is_on_gpu() const { return region_ != nullptr && region_->gpu_data() != nullptr; }
  // Of one that does: its bytes there, to be read. The client may change them at any moment.
  BufferRef on_gpu() const;

  // Copies the window's first `into.size()` bytes, at most size_bytes(); see SharedRegion. Any thread.
  Status read(std::span<std::byte> into) const { return region_->read(at_bytes_, into); }
  // Writes to its start, at most size_bytes(). Any thread.
  Status write(std::span<const std::byte> bytes) const { return region_->write(at_bytes_, bytes); }

 private:
  std::shared_ptr<const SharedRegion> region_;
  std::uint64_t at_bytes_ = 0;
  std::size_t size_bytes_ = 0;
};

}  // namespace naiad
