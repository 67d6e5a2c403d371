#include "memory/system_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/checked.h"
#include "base/quoted.h"

namespace naiad {
namespace {

// NAME_MAX less what glibc and others put before the name.
constexpr std::size_t kMaxKeyBytes = 250;
// Keys that Triton keeps for the shared memory of its own model processes.
constexpr std::string_view kReservedPrefix = "triton_python_backend_shm_region_";
// One system call moves at most 2 GiB less a page.
constexpr std::size_t kMaxCallBytes = std::size_t{1} << 30;

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// The bare name of the object: one leading slash is dropped, any other makes it a path into a directory.
Status bare_key(std::string_view name, std::string_view key, std::string& bare) {
  if (key.starts_with('/')) key.remove_prefix(1);
  if (key.starts_with(kReservedPrefix)) {
    return invalid("cannot register shared memory region " + quoted(name) +
                   ": its key starts with a reserved prefix");
  }
  const bool is_path = key.find('/') != std::string_view::npos || key == "." || key == "..";
  if (key.empty() || key.size() > kMaxKeyBytes || is_path || key.find('\0') != std::string_view::npos) {
    return invalid("cannot register shared memory region " + quoted(name) +
                   ": its key should be a name of 1 to " + std::to_string(kMaxKeyBytes) +
                   " bytes, with or without a slash before it");
  }
  bare = "/" + std::string(key);
  return {};
}

// The size of a regular file; nothing for whatever else has such a name.
std::optional<std::uint64_t> file_size_bytes(int fd) {
  struct stat facts{};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size < 0) return std::nullopt;
  return static_cast<std::uint64_t>(facts.st_size);
}

}  // namespace

Status SystemRegion::open(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                          std::uint64_t size_bytes, std::shared_ptr<const SystemRegion>& region) {
  std::string bare;
  if (Status status = bare_key(name, key, bare); !status.ok()) return status;
  const int fd = shm_open(bare.c_str(), O_RDWR, 0);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
    return {Code::kUnavailable, "no file descriptor is free for shared memory region " + quoted(name)};
  }
  if (fd < 0) return invalid("Unable to open shared memory region: " + quoted(name));
  std::shared_ptr<const SystemRegion> opened(new SystemRegion(name, key, offset_bytes, size_bytes, fd));
  const auto end_bytes = checked_add(offset_bytes, size_bytes);
  const auto file_bytes = file_size_bytes(fd);
  // The size of a file fits in off_t, and so does all that lies in it.
  if (size_bytes == 0 || !end_bytes || !file_bytes || *end_bytes > *file_bytes) {
    return invalid("failed to register shared memory region " + quoted(name) + ": invalid args");
  }
  region = std::move(opened);
  return {};
}

SystemRegion::~SystemRegion() {
  close(fd_);
}

Status SystemRegion::shrunk() const {
  return invalid("shared memory region " + quoted(name()) + " is smaller than it was when it was registered");
}

Status SystemRegion::check() const {
  const auto file_bytes = file_size_bytes(fd_);
  return file_bytes && *file_bytes >= offset_bytes_ + size_bytes() ? Status{} : shrunk();
}

Status SystemRegion::read(std::uint64_t at_bytes, std::span<std::byte> into) const {
  auto at = static_cast<off_t>(offset_bytes_ + at_bytes);
  while (!into.empty()) {
    const ssize_t count = pread(fd_, into.data(), std::min(into.size(), kMaxCallBytes), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return {Code::kInternal, "cannot read shared memory region " + quoted(name())};
    if (count == 0) return shrunk();
    into = into.subspan(static_cast<std::size_t>(count));
    at += count;
  }
  return {};
}

Status SystemRegion::write(std::uint64_t at_bytes, std::span<const std::byte> bytes) const {
  // Without this the write would grow the object again. A client that shrinks it in this very moment has it
  // grown: that is its own memory.
  if (Status status = check(); !status.ok()) return status;
  auto at = static_cast<off_t>(offset_bytes_ + at_bytes);
  while (!bytes.empty()) {
    const ssize_t count = pwrite(fd_, bytes.data(), std::min(bytes.size(), kMaxCallBytes), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == ENOSPC || errno == ENOMEM)) {
      return {Code::kUnavailable, "the system has no memory for shared memory region " + quoted(name())};
    }
    if (count <= 0) return {Code::kInternal, "cannot write shared memory region " + quoted(name())};
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    at += count;
  }
  return {};
}

}  // namespace naiad
