#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "memory/shared_region.h"

namespace naiad {

// A part of a POSIX shared memory object. Its bytes are read with pread and written with pwrite, never
// through a mapping: a client may shrink the object at any moment, which under a mapping is a SIGBUS and here
// a short count. The price is 10 µs for 600 KB.
class SystemRegion final : public SharedRegion {
 public:
  // Opens the object `key` (with or without the leading slash; no other path) and checks that
  // [offset_bytes, offset_bytes + size_bytes) lies in it. kInvalidArgument otherwise, kUnavailable without a
  // file descriptor. Any thread.
  static Status open(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                     std::uint64_t size_bytes, std::shared_ptr<const SystemRegion>& region);
  ~SystemRegion() override;

  // As registered. Any thread.
  const std::string& key() const { return key_; }
  std::uint64_t offset_bytes() const { return offset_bytes_; }

  Status check() const override;
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const override;
  // A client that has shrunk the object gets kInvalidArgument.
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const override;

 private:
  SystemRegion(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
               std::uint64_t size_bytes, int fd)
      : SharedRegion(name, size_bytes), key_(key), offset_bytes_(offset_bytes), fd_(fd) {}
  Status shrunk() const;

  const std::string key_;
  const std::uint64_t offset_bytes_;
  const int fd_;
};

}  // namespace naiad
