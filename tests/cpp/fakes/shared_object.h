#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace naiad::test {

// A shared memory object as a client makes it; gone at the end.
class SharedObject {
 public:
  explicit SharedObject(std::size_t size_bytes)
      : key_("/naiad_test_" + std::to_string(getpid()) + "_" + std::to_string(next_.fetch_add(1))),
        mapped_bytes_(size_bytes),
        fd_(shm_open(key_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600)) {
    resize(size_bytes);
    void* start = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (start == MAP_FAILED) throw std::runtime_error("mmap");
    bytes_ = static_cast<std::byte*>(start);
  }
  ~SharedObject() {
    munmap(bytes_, mapped_bytes_);
    shm_unlink(key_.c_str());
    close(fd_);
  }
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  const std::string& key() const { return key_; }
  // Must not be touched behind the object's end.
  std::byte* bytes() const { return bytes_; }
  void resize(std::size_t size_bytes) const {
    if (ftruncate(fd_, static_cast<off_t>(size_bytes)) != 0) throw std::runtime_error("ftruncate");
  }
  std::size_t size_bytes() const {
    struct stat facts{};
    if (fstat(fd_, &facts) != 0) throw std::runtime_error("fstat");
    return static_cast<std::size_t>(facts.st_size);
  }

 private:
  static inline std::atomic<int> next_{0};  // a count: pairs with nothing

  const std::string key_;
  const std::size_t mapped_bytes_;
  const int fd_;
  std::byte* bytes_ = nullptr;
};

}  // namespace naiad::test
