#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace naiad {

// A client's name in single quotes for an error message; cut after 128 bytes (at a UTF-8 boundary), so that
// an answer never grows with what it complains about. Any thread.
inline std::string quoted(std::string_view name) {
  constexpr std::size_t kLimit = 128;
  if (name.size() <= kLimit) return "'" + std::string(name) + "'";
  std::size_t end = kLimit;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return "'" + std::string(name.substr(0, end)) + "...'";
}

}  // namespace naiad
