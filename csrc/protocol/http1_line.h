#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace naiad {

// What a look for the end of a line came to. Bytes are judged in their order, so that the outcome does not
// depend on how they arrived.
struct Http1Line {
  enum class Outcome : unsigned char {
    kIncomplete,  // no end yet; `end`: what need not be looked at again
    kEnds,        // `end`: where CR stands, with LF behind it
    kControl,     // a control character, a bare CR or a bare LF at `end`
    kTooLong,
  };
  Outcome outcome = Outcome::kIncomplete;
  std::size_t end = 0;
};

// Looks for CRLF from `from` on; CR may stand at `last_end` at the latest. Any thread.
Http1Line find_line_end(std::string_view text, std::size_t from, std::size_t last_end);

namespace http1_line_detail {
constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'}) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
inline constexpr std::array<bool, 256> kToken = make_token_table();
}  // namespace http1_line_detail

// True for the characters of a token (RFC 9110, section 5.6.2). Any thread.
constexpr bool is_token_char(char c) {
  return http1_line_detail::kToken[static_cast<unsigned char>(c)];
}

// The length of the token that `text` starts with; 0 for none. Any thread.
constexpr std::size_t token_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && is_token_char(text[length])) ++length;
  return length;
}

// `text` without spaces and tabs around it. Any thread.
constexpr std::string_view without_surrounding_space(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace naiad
