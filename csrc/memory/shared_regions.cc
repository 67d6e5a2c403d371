#include "memory/shared_regions.h"

#include <mutex>
#include <utility>

#include "base/quoted.h"

namespace naiad {

template <typename Kind, typename Open>
Status SharedRegions::add(std::string_view name, const Open& open) {
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
  Kind region;
  Status status = open(region);
  if (status.ok()) regions_.emplace(std::string(name), std::move(region));
  return status;
}

Status SharedRegions::register_system(std::string_view name, std::string_view key, std::uint64_t offset_bytes,
                                      std::uint64_t size_bytes) {
  return add<System>(
      name, [&](System& region) { return SystemRegion::open(name, key, offset_bytes, size_bytes, region); });
}

Status SharedRegions::register_gpu(std::string_view name, const GpuMemoryHandle& handle, int device,
                                   std::uint64_t size_bytes) {
  return add<Gpu>(name, [&](Gpu& region) {
    return GpuRegion::open(name, handle, device, size_bytes, open_gpu_memory_, region);
  });
}

template <typename Kind>
void SharedRegions::remove(std::string_view name) {
  std::vector<Kind> ended;  // closed after the lock is given back
  const std::unique_lock lock(mutex_);
  std::erase_if(regions_, [&](auto& entry) {
    auto* region = std::get_if<Kind>(&entry.second);
    const bool ends = region != nullptr && (name.empty() || entry.first == name);
    if (ends) ended.push_back(std::move(*region));
    return ends;
  });
}

void SharedRegions::unregister_system(std::string_view name) {
  remove<System>(name);
}

void SharedRegions::unregister_gpu(std::string_view name) {
  remove<Gpu>(name);
}

template <typename Kind>
Status SharedRegions::list(std::string_view name, std::string_view kind, std::vector<Kind>& regions) const {
  const std::size_t num_before = regions.size();
  const std::shared_lock lock(mutex_);
  for (const auto& [key, entry] : regions_) {
    const auto* region = std::get_if<Kind>(&entry);
    if (region != nullptr && (name.empty() || key == name)) regions.push_back(*region);
  }
  if (name.empty() || regions.size() > num_before) return {};
  return {Code::kNotFound, "Unable to find " + std::string(kind) + " shared memory region: " + quoted(name)};
}

Status SharedRegions::list_system(std::string_view name, std::vector<System>& regions) const {
  return list<System>(name, "system", regions);
}

Status SharedRegions::list_gpu(std::string_view name, std::vector<Gpu>& regions) const {
  return list<Gpu>(name, "cuda", regions);
}

std::shared_ptr<const SharedRegion> SharedRegions::find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  const auto found = regions_.find(name);
  if (found == regions_.end()) return nullptr;
  return std::visit([](const auto& region) -> std::shared_ptr<const SharedRegion> { return region; },
                    found->second);
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
