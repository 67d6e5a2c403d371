#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace naiad {

// Appends JSON to a text. Any thread, one per text.

// An integer, exactly.
template <std::integral T>
void append_json_integer(std::string& text, T value) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  text.append(digits, end);
}

// Writes the shortest digits that read back as `value`, always with a fraction or an exponent; NaN and the
// infinities as the tokens NaN, Infinity and -Infinity, as Triton does. `out` has room for kMaxDoubleChars.
// Returns the end of what was written.
constexpr std::size_t kMaxDoubleChars = 32;
char* write_json_double(char* out, double value);
void append_json_double(std::string& text, double value);

// A quoted string. False (and nothing appended) when `value` is not UTF-8.
[[nodiscard]] bool append_json_string(std::string& text, std::string_view value);

}  // namespace naiad
