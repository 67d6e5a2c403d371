#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define NAIAD_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NAIAD_POISONS 1
#endif
#endif
#ifdef NAIAD_POISONS
#include <sanitizer/asan_interface.h>
#endif

namespace naiad {

// Memory that nobody may touch, as far as the address sanitizer sees: in a build with it, who does so all the
// same is reported like who reads what was freed. Elsewhere these do nothing. Any thread.
#ifdef NAIAD_POISONS
inline constexpr bool kPoisons = true;
inline void poison(const std::byte* data, std::size_t size_bytes) noexcept {
  __asan_poison_memory_region(data, size_bytes);
}
inline void unpoison(const std::byte* data, std::size_t size_bytes) noexcept {
  __asan_unpoison_memory_region(data, size_bytes);
}
inline bool poisoned(const std::byte* data) noexcept {
  return __asan_address_is_poisoned(data) != 0;
}
#else
inline constexpr bool kPoisons = false;
inline void poison(const std::byte* /*data*/, std::size_t /*size_bytes*/) noexcept {}
inline void unpoison(const std::byte* /*data*/, std::size_t /*size_bytes*/) noexcept {}
inline bool poisoned(const std::byte* /*data*/) noexcept {
  return false;
}
#endif
#undef NAIAD_POISONS

}  // namespace naiad
