#pragma once

#include <cstddef>

#include "base/error.h"

namespace naiad {

// One anonymous file, mapped shared: address space of which pages become memory when they are touched. The
// file has no name and is sealed against shrinking and growing: a process that was given its descriptor
// cannot make this one fault.
class Arena {
 public:
  // `capacity_bytes` is rounded up to whole pages. Throws Error(kUnavailable). Any thread.
  explicit Arena(std::size_t capacity_bytes);
  enum class Access : unsigned char { kRead, kReadWrite };
  // One that another process has made: takes the descriptor over. Throws Error(kUnavailable) unless its file
  // has that size and keeps it. Any thread.
  Arena(int fd, std::size_t capacity_bytes, Access access);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  static constexpr std::size_t kPageBytes = 4096;

  std::byte* data() const { return data_; }
  std::size_t capacity_bytes() const { return capacity_bytes_; }
  int fd() const { return fd_; }
  // Another descriptor of the file, with which nothing can be written; the caller's. Throws
  // Error(kUnavailable). Any thread.
  int open_read_only() const;

  // Gives the memory of whole pages back to the system; they read as zeros afterwards. False when the system
  // refuses: the pages keep their memory. Any thread.
  bool punch(std::size_t offset, std::size_t size_bytes) noexcept;

 private:
  std::size_t capacity_bytes_;
  int fd_ = -1;
  std::byte* data_ = nullptr;
};

}  // namespace naiad
