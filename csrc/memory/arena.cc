#include "memory/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

namespace naiad {
namespace {

std::size_t whole_pages(std::size_t size_bytes) {
  return (size_bytes + Arena::kPageBytes - 1) / Arena::kPageBytes * Arena::kPageBytes;
}

[[noreturn]] void refuse(const char* step, std::size_t capacity_bytes, int fd) {
  const int reason = errno;
  if (fd >= 0) close(fd);
  throw Error(Code::kUnavailable, "tensor pool: cannot make an arena of " + std::to_string(capacity_bytes) +
                                      " bytes: " + step + ": " + std::strerror(reason));
}

}  // namespace

Arena::Arena(std::size_t capacity_bytes) : capacity_bytes_(whole_pages(capacity_bytes)) {
  if (capacity_bytes == 0 || capacity_bytes > std::numeric_limits<off_t>::max() / 2) {
    errno = EINVAL;
    refuse("capacity", capacity_bytes, -1);
  }
  fd_ = memfd_create("naiad-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) refuse("memfd_create", capacity_bytes_, fd_);
  if (ftruncate(fd_, static_cast<off_t>(capacity_bytes_)) != 0) refuse("ftruncate", capacity_bytes_, fd_);
  if (fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    refuse("sealing", capacity_bytes_, fd_);
  }
  void* data = mmap(nullptr, capacity_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (data == MAP_FAILED) refuse("mmap", capacity_bytes_, fd_);
  data_ = static_cast<std::byte*>(data);
}

Arena::Arena(int fd, std::size_t capacity_bytes, Access access)
    : capacity_bytes_(whole_pages(capacity_bytes)), fd_(fd) {
  struct stat file{};
  if (fstat(fd_, &file) != 0 || static_cast<std::size_t>(file.st_size) != capacity_bytes_) {
    errno = EINVAL;
    refuse("size", capacity_bytes_, fd_);
  }
  const int protection = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* data = mmap(nullptr, capacity_bytes_, protection, MAP_SHARED | MAP_NORESERVE, fd_, 0);
  if (data == MAP_FAILED) refuse("mmap", capacity_bytes_, fd_);
  data_ = static_cast<std::byte*>(data);
}

int Arena::open_read_only() const {
  const int fd = open(("/proc/self/fd/" + std::to_string(fd_)).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw Error(Code::kUnavailable,
                std::string("tensor pool: the arena cannot be opened for reading: ") + std::strerror(errno));
  }
  return fd;
}

Arena::~Arena() {
  munmap(data_, capacity_bytes_);
  close(fd_);
}

bool Arena::punch(std::size_t offset, std::size_t size_bytes) noexcept {
  return fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                   static_cast<off_t>(size_bytes)) == 0;
}

}  // namespace naiad
