#include "protocol/json_writer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "protocol/utf8.h"

namespace naiad {
namespace {

char* copy_word(char* out, std::string_view word) {
  std::memcpy(out, word.data(), word.size());
  return out + word.size();
}

constexpr bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

void append_escaped(std::string& text, char c) {
  switch (c) {
    case '"':
      text += "\\\"";
      return;
    case '\\':
      text += "\\\\";
      return;
    case '\b':
      text += "\\b";
      return;
    case '\f':
      text += "\\f";
      return;
    case '\n':
      text += "\\n";
      return;
    case '\r':
      text += "\\r";
      return;
    case '\t':
      text += "\\t";
      return;
    default:
      break;
  }
  constexpr char kHex[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  text += "\\u00";
  text += kHex[byte >> 4];
  text += kHex[byte & 15];
}

}  // namespace

char* write_json_double(char* out, double value) {
  if (std::isnan(value)) return copy_word(out, "NaN");
  if (std::isinf(value)) return copy_word(out, value > 0 ? "Infinity" : "-Infinity");
  char* const end = std::to_chars(out, out + kMaxDoubleChars - 2, value).ptr;
  if (std::any_of(out, end, [](char c) { return c == '.' || c == 'e'; })) return end;
  return copy_word(end, ".0");
}

void append_json_double(std::string& text, double value) {
  char digits[kMaxDoubleChars];
  text.append(digits, write_json_double(digits, value));
}

bool append_json_string(std::string& text, std::string_view value) {
  if (!is_utf8(value)) return false;
  text += '"';
  std::size_t at = 0;
  while (at < value.size()) {
    const auto* rest = value.data() + at;
    const auto plain =
        static_cast<std::size_t>(std::find_if(rest, value.data() + value.size(), needs_escape) - rest);
    text.append(rest, plain);
    at += plain;
    if (at < value.size()) append_escaped(text, value[at++]);
  }
  text += '"';
  return true;
}

}  // namespace naiad
