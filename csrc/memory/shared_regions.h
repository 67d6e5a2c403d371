#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "memory/gpu_region.h"
#include "memory/shared_window.h"
#include "memory/system_region.h"

namespace naiad {

// The shared memory that clients have registered, by the names they gave. Messages are Triton's.
class SharedRegions {
 public:
  // A region of the system holds a file descriptor, of which a process has few.
  static constexpr std::size_t kMaxRegions = 512;
  static constexpr std::size_t kMaxNameBytes = 1024;

  // `open_gpu_memory` opens what clients share of a GPU.
  explicit SharedRegions(OpenGpuMemory open_gpu_memory = naiad::open_gpu_memory)
      : open_gpu_memory_(std::move(open_gpu_memory)) {}

  // Opens a system (POSIX) shared memory object. kAlreadyExists when the name is taken, kUnavailable when
  // there are kMaxRegions, else as SystemRegion::open. Any thread.
  Status register_system(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                         std::uint64_t size_bytes);
  // Opens the start of an allocation on a GPU. As register_system, else as GpuRegion::open. Any thread.
  Status register_gpu(std::string_view name, const GpuMemoryHandle& handle, int device,
                      std::uint64_t size_bytes);

  // Names of one kind are free from now on; a region is closed when its last window has gone. A name that is
  // not registered, or that is of the other kind, is no error. "" is all. Any thread.
  void unregister_system(std::string_view name);
  void unregister_gpu(std::string_view name);

  // One region of a kind, or all for "", by name. kNotFound. Any thread.
  Status list_system(std::string_view name, std::vector<std::shared_ptr<const SystemRegion>>& regions) const;
  Status list_gpu(std::string_view name, std::vector<std::shared_ptr<const GpuRegion>>& regions) const;

  // A place in a region for one tensor. kNotFound; kInvalidArgument when it does not lie in the region or the
  // memory has become too small for the region. Any thread.
  Status lease(std::string_view name, std::uint64_t at_bytes, std::uint64_t size_bytes,
               SharedWindow& window) const;

 private:
  using System = std::shared_ptr<const SystemRegion>;
  using Gpu = std::shared_ptr<const GpuRegion>;
  using Regions = std::map<std::string, std::variant<System, Gpu>, std::less<>>;

  // `open` makes a Kind, System or Gpu, under the lock.
  template <typename Kind, typename Open>
  Status add(std::string_view name, const Open& open);
  template <typename Kind>
  void remove(std::string_view name);
  template <typename Kind>
  Status list(std::string_view name, std::string_view kind, std::vector<Kind>& regions) const;
  std::shared_ptr<const SharedRegion> find(std::string_view name) const;

  const OpenGpuMemory open_gpu_memory_;
  mutable std::shared_mutex mutex_;
  Regions regions_;
};

}  // namespace naiad
