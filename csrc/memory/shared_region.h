#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace naiad {

// A part of a POSIX shared memory object that a client lets this process use, opened once and closed by its
// last user. Its bytes are read with pread and written with pwrite, never through a mapping: a client may
// shrink the object at any moment, which under a mapping is a SIGBUS and here a short count; and it may
// change the bytes at any moment, which a copy checked afterwards does not see. The price is 10 µs for 600
// KB.
class SharedRegion {
 public:
  // Opens the object `key` (with or without the leading slash; no other path) and checks that
  // [offset_bytes, offset_bytes + size_bytes) lies in it. kInvalidArgument otherwise, kUnavailable without a
  // file descriptor. Any thread.
  static Status open(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                     std::uint64_t size_bytes, std::shared_ptr<const SharedRegion>& region);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  // As registered. Any thread.
  const std::string& name() const { return name_; }
  const std::string& key() const { return key_; }
  std::uint64_t offset_bytes() const { return offset_bytes_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

  // kInvalidArgument when the object has become too small for the region. Any thread.
  Status check() const;
  // Copies the bytes at `at_bytes` of the region, which the caller has checked to lie in it. kInvalidArgument
  // when the object ends before them. Any thread.
  Status read(std::uint64_t at_bytes, std::span<std::byte> into) const;
  // The other way. kInvalidArgument when the object has become too small, kUnavailable when the system has no
  // memory for its pages. Any thread.
  Status write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const;

 private:
  SharedRegion(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
               std::uint64_t size_bytes, int fd)
      : name_(name), key_(key), offset_bytes_(offset_bytes), size_bytes_(size_bytes), fd_(fd) {}
  Status shrunk() const;

  const std::string name_;
  const std::string key_;
  const std::uint64_t offset_bytes_;
  const std::uint64_t size_bytes_;
  const int fd_;
};

}  // namespace naiad
