#include "protocol/json_escape.h"

#include <cstdint>
#include <cstring>

namespace naiad {
namespace {

// One resolved escape: a code point and the raw characters it took.
struct Escape {
  std::uint32_t code_point = 0;
  std::size_t length = 0;
};

std::optional<std::uint32_t> hex4(std::string_view raw, std::size_t at) {
  if (raw.size() - at < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const char c = raw[i];
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  return value;
}

std::optional<Escape> read_unicode(std::string_view raw, std::size_t at) {
  const auto high = hex4(raw, at + 2);
  if (!high) return std::nullopt;
  if (*high >= 0xDC00 && *high <= 0xDFFF) return std::nullopt;
  if (*high < 0xD800 || *high > 0xDBFF) return Escape{*high, 6};
  if (raw.size() - at < 12 || raw[at + 6] != '\\' || raw[at + 7] != 'u') return std::nullopt;
  const auto low = hex4(raw, at + 8);
  if (!low || *low < 0xDC00 || *low > 0xDFFF) return std::nullopt;
  return Escape{0x10000 + ((*high - 0xD800) << 10) + (*low - 0xDC00), 12};
}

// The escape whose backslash is raw[at].
std::optional<Escape> read_escape(std::string_view raw, std::size_t at) {
  if (raw.size() - at < 2) return std::nullopt;
  switch (raw[at + 1]) {
    case '"':
      return Escape{'"', 2};
    case '\\':
      return Escape{'\\', 2};
    case '/':
      return Escape{'/', 2};
    case 'b':
      return Escape{'\b', 2};
    case 'f':
      return Escape{'\f', 2};
    case 'n':
      return Escape{'\n', 2};
    case 'r':
      return Escape{'\r', 2};
    case 't':
      return Escape{'\t', 2};
    case 'u':
      return read_unicode(raw, at);
    default:
      return std::nullopt;
  }
}

std::size_t utf8_size(std::uint32_t code_point) {
  if (code_point < 0x80) return 1;
  if (code_point < 0x800) return 2;
  return code_point < 0x10000 ? 3 : 4;
}

std::size_t write_utf8(std::uint32_t code_point, char* out) {
  const std::size_t size = utf8_size(code_point);
  if (size == 1) {
    out[0] = static_cast<char>(code_point);
    return 1;
  }
  for (std::size_t i = size - 1; i > 0; --i) {
    out[i] = static_cast<char>(0x80 | (code_point & 0x3F));
    code_point >>= 6;
  }
  constexpr unsigned char kLead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
  out[0] = static_cast<char>(kLead[size] | code_point);
  return size;
}

}  // namespace

std::optional<std::size_t> unescaped_size(std::string_view raw) {
  std::size_t size = 0;
  std::size_t at = 0;
  while (at < raw.size()) {
    const std::size_t next = raw.find('\\', at);
    if (next == std::string_view::npos) return size + (raw.size() - at);
    size += next - at;
    const auto escape = read_escape(raw, next);
    if (!escape) return std::nullopt;
    size += utf8_size(escape->code_point);
    at = next + escape->length;
  }
  return size;
}

std::size_t unescape(std::string_view raw, char* out) {
  char* const start = out;
  std::size_t at = 0;
  while (at < raw.size()) {
    std::size_t next = raw.find('\\', at);
    if (next == std::string_view::npos) next = raw.size();
    if (next != at) std::memcpy(out, raw.data() + at, next - at);
    out += next - at;
    at = next;
    if (at == raw.size()) break;
    const auto escape = read_escape(raw, at);
    if (!escape) break;
    out += write_utf8(escape->code_point, out);
    at += escape->length;
  }
  return static_cast<std::size_t>(out - start);
}

}  // namespace naiad
