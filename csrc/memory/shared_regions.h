#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "memory/shared_region.h"
#include "memory/shared_window.h"

namespace naiad {

// The shared memory that clients have registered, by the names they gave. Messages are Triton's.
class SharedRegions {
 public:
  // Each region holds a file descriptor, of which a process has few.
  static constexpr std::size_t kMaxRegions = 512;
  static constexpr std::size_t kMaxNameBytes = 1024;

  // Opens a system (POSIX) shared memory object. kAlreadyExists when the name is taken, kUnavailable when
  // there are kMaxRegions, else as SharedRegion::open. Any thread.
  Status register_system(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                         std::uint64_t size_bytes);
  // The name is free from now on; the region is closed when its last window has gone. A name that is not
  // registered is no error. Any thread.
  void unregister(std::string_view name);
  void unregister_all();
  // One region, or all for "", by name. kNotFound. Any thread.
  Status list(std::string_view name, std::vector<std::shared_ptr<const SharedRegion>>& regions) const;

  // A place in a region for one tensor. kNotFound; kInvalidArgument when it does not lie in the region or the
  // object has become too small for the region. Any thread.
  Status lease(std::string_view name, std::uint64_t at_bytes, std::uint64_t size_bytes,
               SharedWindow& window) const;

 private:
  std::shared_ptr<const SharedRegion> find(std::string_view name) const;

  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<const SharedRegion>, std::less<>> regions_;
};

}  // namespace naiad
