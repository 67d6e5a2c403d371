#pragma once

#include <cstddef>

// Of the address sanitizer's runtime: null where the program is built without it. The runtime's own header
// has macros that choose when this is compiled.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)
extern "C" {
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* data, std::size_t size_bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* data, std::size_t size_bytes);
[[gnu::weak]] int __asan_address_is_poisoned(const volatile void* data);
}
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

namespace naiad {

// Memory that nobody may touch, as far as the address sanitizer sees: in a program with it, who does so all
// the same is reported like who reads what was freed. Elsewhere these do nothing. Any thread.
inline bool can_poison() noexcept {
  return __asan_poison_memory_region != nullptr;
}
inline void poison(const std::byte* data, std::size_t size_bytes) noexcept {
  if (can_poison()) __asan_poison_memory_region(data, size_bytes);
}
inline void unpoison(const std::byte* data, std::size_t size_bytes) noexcept {
  if (can_poison()) __asan_unpoison_memory_region(data, size_bytes);
}
inline bool poisoned(const std::byte* data) noexcept {
  return can_poison() && __asan_address_is_poisoned(data) != 0;
}

}  // namespace naiad
