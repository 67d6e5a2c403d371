#include "protocol/header_number.h"

#include <charconv>
#include <string>

#include "protocol/ascii_case.h"
#include "protocol/utf8.h"

namespace naiad {
namespace {

constexpr std::size_t kMaxDigits = 18;
constexpr std::size_t kMaxShownBytes = 32;

// What was sent, joined and cut.
std::string shown_values(const Http1Head& head) {
  std::string shown;
  bool is_first = true;
  for (const Http1Field& field : head.fields) {
    if (!equals_ignoring_case(field.name, kInferenceHeaderLength) || shown.size() >= kMaxShownBytes) continue;
    if (!is_first) shown += ',';
    shown += field.value.substr(0, kMaxShownBytes);
    is_first = false;
  }
  return repaired_utf8(std::string_view(shown).substr(0, kMaxShownBytes));
}

}  // namespace

std::optional<std::uint64_t> parse_header_number(std::string_view text) {
  if (text.empty() || text.size() > kMaxDigits) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Status read_inference_header_length(const Http1Head& head, std::size_t body_size_bytes,
                                    std::optional<std::size_t>& length) {
  length.reset();
  const std::size_t num_values = head.count(kInferenceHeaderLength);
  if (num_values == 0) return {};
  const auto number = parse_header_number(*head.field(kInferenceHeaderLength));
  if (num_values > 1 || !number) {
    return {Code::kInvalidArgument, std::string(kInferenceHeaderLength) +
                                        " should be one decimal number, got '" + shown_values(head) + "'"};
  }
  if (*number > body_size_bytes) {
    return {Code::kInvalidArgument, "inference header size should be in range (0, " +
                                        std::to_string(body_size_bytes) +
                                        "), got: " + std::to_string(*number)};
  }
  length = number;
  return {};
}

}  // namespace naiad
