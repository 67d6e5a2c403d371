#pragma once

#include <string>
#include <string_view>

namespace naiad {

// Whether `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
// Any thread.
bool is_utf8(std::string_view text);

// `text` with U+FFFD in the place of each longest piece that begins no well-formed sequence, as Python's
// errors="replace" has it. Any thread.
std::string repaired_utf8(std::string_view text);

}  // namespace naiad
