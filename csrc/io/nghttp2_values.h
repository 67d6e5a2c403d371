#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

// nghttp2's C values as ours, for the files of H2Connection.
namespace naiad::h2 {

// nghttp2 takes names and values as pointers to non-const bytes, and does not write to them.
inline nghttp2_nv field(std::string_view name, std::string_view value, bool fixed) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
  };
  const std::uint8_t flags =
      fixed ? NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE : NGHTTP2_NV_FLAG_NO_COPY_NAME;
  return {bytes(name), bytes(value), name.size(), value.size(), flags};
}

inline void check(int result) {
  if (result == NGHTTP2_ERR_NOMEM) throw std::bad_alloc();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace naiad::h2
