#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace naiad {

// A number of a JSON text that the reader has found well-formed. Conversions are exact or empty; nothing is
// rounded into an integer and nothing wraps. Any thread.
struct JsonNumber {
  std::string_view text;
  bool integral = false;    // no fraction, no exponent
  bool non_finite = false;  // NaN, Inf, Infinity, with or without '-'

  std::optional<std::int64_t> to_int64() const;
  std::optional<std::uint64_t> to_uint64() const;
  // Nearest value; empty when the magnitude is beyond the type. What is too small becomes zero.
  std::optional<float> to_float() const;
  std::optional<double> to_double() const;
};

// The number that `text` begins with, by the grammar of RFC 8259; its text is empty when there is none. Any
// thread.
JsonNumber scan_json_number(std::string_view text);

}  // namespace naiad
