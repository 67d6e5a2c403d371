#pragma once

#include <string_view>

namespace naiad {

// Whether `text` is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF).
// Any thread.
bool is_utf8(std::string_view text);

}  // namespace naiad
