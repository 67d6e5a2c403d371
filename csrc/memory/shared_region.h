#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "memory/device.h"

namespace naiad {

// A part of the memory of a client that lets this process use it, opened once and closed by its last user.
// The client may change its bytes at any moment, so they are copied before anything is checked.
class SharedRegion {
 public:
  virtual ~SharedRegion() = default;
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  // As registered. Any thread.
  const std::string& name() const { return name_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // kInvalidArgument when the memory has become too small for the region. Any thread.
  virtual Status check() const = 0;
  // Copies the bytes at `at_bytes` of the region, which the caller has checked to lie in it. Any thread;
  // waits for the copy. kInvalidArgument when the memory ends before them, kInternal when it cannot be read.
  virtual Status read(std::uint64_t at_bytes, std::span<std::byte> into) const = 0;
  // The other way, from the host or, where the region is on a GPU, from one; kUnavailable, too, when the
  // system has no memory for its pages.
  virtual Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const = 0;
  // Its start where it is on a GPU, which is gpu(); else null. Any thread.
  virtual const std::byte* gpu_data() const { return nullptr; }
  virtual Device gpu() const { return {}; }

 protected:
  SharedRegion(std::string_view name, std::uint64_t size_bytes) : name_(name), size_bytes_(size_bytes) {}

 private:
  const std::string name_;
  const std::uint64_t size_bytes_;
};

}  // namespace naiad
