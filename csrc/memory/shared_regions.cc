#include "memory/shared_regions.h"

#include <mutex>
#include <utility>

#include "base/quoted.h"

namespace naiad {

Status SharedRegions::register_system(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                                      std::uint64_t size_bytes) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return {Code::kInvalidArgument, "the name of a shared memory region should have 1 to " +
                                        std::to_string(kMaxNameBytes) + " bytes, got " +
                                        std::to_string(name.size())};
  }
  // Opened under the lock: two of the same name never hold two descriptors.
  const std::unique_lock lock(mutex_);
  if (regions_.contains(name)) {
    return {Code::kAlreadyExists, "shared memory region " + quoted(name) + " already in manager"};
  }
  if (regions_.size() >= kMaxRegions) {
    return {Code::kUnavailable, "cannot register shared memory region " + quoted(name) + ": there are " +
                                    std::to_string(kMaxRegions) + " already"};
  }
  std::shared_ptr<const SharedRegion> region;
  Status status = SharedRegion::open(name, key, offset_bytes, size_bytes, region);
  if (status.ok()) regions_.emplace(std::string(name), std::move(region));
  return status;
}

void SharedRegions::unregister(std::string_view name) {
  std::shared_ptr<const SharedRegion> ended;  // closed after the lock is given back
  const std::unique_lock lock(mutex_);
  const auto found = regions_.find(name);
  if (found == regions_.end()) return;
  ended = std::move(found->second);
  regions_.erase(found);
}

void SharedRegions::unregister_all() {
  decltype(regions_) ended;  // closed after the lock is given back
  const std::unique_lock lock(mutex_);
  ended.swap(regions_);
}

Status SharedRegions::list(std::string_view name,
                           std::vector<std::shared_ptr<const SharedRegion>>& regions) const {
  const std::shared_lock lock(mutex_);
  if (!name.empty()) {
    const auto found = regions_.find(name);
    if (found == regions_.end()) {
      return {Code::kNotFound, "Unable to find system shared memory region: " + quoted(name)};
    }
    regions.push_back(found->second);
    return {};
  }
  for (const auto& [key, region] : regions_) regions.push_back(region);
  return {};
}

std::shared_ptr<const SharedRegion> SharedRegions::find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = regions_.find(name);
  return found == regions_.end() ? nullptr : found->second;
}

Status SharedRegions::lease(std::string_view name, std::uint64_t at_bytes, std::uint64_t size_bytes,
                            SharedWindow& window) const {
  std::shared_ptr<const SharedRegion> region = find(name);
  if (!region) return {Code::kNotFound, "Unable to find shared memory region: " + quoted(name)};
  if (at_bytes >= region->size_bytes()) {
    return {Code::kInvalidArgument, "Invalid offset for shared memory region: " + quoted(name)};
  }
  // No sum: it could wrap.
  if (size_bytes > region->size_bytes() - at_bytes) {
    return {Code::kInvalidArgument, "Invalid offset + byte size for shared memory region: " + quoted(name)};
  }
  if (Status status = region->check(); !status.ok()) return status;
  window = SharedWindow(std::move(region), at_bytes, static_cast<std::size_t>(size_bytes));
  return {};
}

}  // namespace naiad
