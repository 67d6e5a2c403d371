#include "protocol/v2_route.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "protocol/ascii_case.h"
#include "protocol/utf8.h"

namespace naiad {
namespace {

using Endpoint = V2Route::Endpoint;

bool take(std::string_view& path, std::string_view start) {
  if (!path.starts_with(start)) return false;
  path.remove_prefix(start.size());
  return true;
}

Endpoint endpoint_of(std::string_view verb) {
  if (verb == "/infer") return Endpoint::kInfer;
  if (verb == "/generate") return Endpoint::kGenerate;
  if (verb == "/generate_stream") return Endpoint::kGenerateStream;
  return Endpoint::kControl;
}

std::optional<char> escaped_byte(std::string_view digits) {
  if (digits.size() < 2) return std::nullopt;
  unsigned char byte = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.begin() + 2, byte, 16);
  if (error != std::errc{} || end != digits.begin() + 2) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

std::string_view take_segment(std::string_view& path) {
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool is_version(std::string_view text) {
  if (text.empty()) return false;
  if (!is_ascii_letter(text[0])) return std::ranges::all_of(text, is_ascii_digit);
  return std::ranges::all_of(text, [](char c) {
    return is_ascii_letter(c) || is_ascii_digit(c) || c == '_' || c == '.' || c == '-';
  });
}

V2Route find_v2_route(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  V2Route route;
  if (!take(path, "/v2/models/")) return route;
  const std::string_view model = take_segment(path);
  std::string_view version;
  if (take(path, "/versions/")) {
    version = take_segment(path);
    if (!is_version(version)) return route;
  }
  route.endpoint = model.empty() ? Endpoint::kControl : endpoint_of(path);
  if (route.endpoint == Endpoint::kControl) return route;
  route.model = model;
  route.version = version;
  return route;
}

std::string percent_decoded(std::string_view segment) {
  std::string bytes;
  bytes.reserve(segment.size());
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const auto byte = segment[i] == '%' ? escaped_byte(segment.substr(i + 1)) : std::nullopt;
    bytes.push_back(byte.value_or(segment[i]));
    if (byte) i += 2;
  }
  return is_utf8(bytes) ? bytes : repaired_utf8(bytes);
}

}  // namespace naiad
