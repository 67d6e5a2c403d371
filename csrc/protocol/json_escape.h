#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace naiad {

// Size of a JSON string's raw characters (between the quotes) once its escapes are resolved; empty when an
// escape is malformed or a surrogate stands alone. Any thread.
std::optional<std::size_t> unescaped_size(std::string_view raw);

// Resolves the escapes of raw characters that unescaped_size() accepted into `out`, which has that many
// bytes. Returns the bytes written. Any thread.
std::size_t unescape(std::string_view raw, char* out);

}  // namespace naiad
