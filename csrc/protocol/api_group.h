#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace naiad {

// What a request is about, as far as it matters who asks: the groups of Triton's restricted APIs, then
// others.
enum class ApiGroup : unsigned char {
  kHealth,
  kMetadata,
  kInference,
  kSharedMemory,
  kModelConfig,
  kModelRepository,
  kStatistics,
  kTrace,
  kLogging,
  kMetrics,
  kOpenAi,
  kPages,    // what browsers show, without what it is about
  kUnknown,  // no route
};
inline constexpr std::array<std::string_view, 13> kApiGroupNames = {
    "health", "metadata", "inference", "shared-memory", "model-config", "model-repository", "statistics",
    "trace",  "logging",  "metrics",   "openai",        "pages",        "unknown"};
inline constexpr std::size_t kNumApiGroups = kApiGroupNames.size();

constexpr std::string_view name_of(ApiGroup group) {
  return kApiGroupNames[static_cast<std::size_t>(group)];
}

// What is asked for: something of a group, to be read or to be changed (models are asked, so that is a
// change).
struct Asked {
  ApiGroup group = ApiGroup::kUnknown;
  bool changes = false;

  // Its place among permissions.
  constexpr std::uint64_t bit() const {
    return std::uint64_t{1} << (2 * static_cast<std::size_t>(group) + (changes ? 1 : 0));
  }
};
inline constexpr Asked kAskedToInfer{ApiGroup::kInference, true};

}  // namespace naiad
