#include "protocol/json_number.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <limits>
#include <system_error>

namespace naiad {
namespace {

// The end of the digits that start at `at`.
const char* skip_digits(const char* at, const char* end) {
  while (at != end && *at >= '0' && *at <= '9') ++at;
  return at;
}

template <typename T>
std::optional<T> parse_integer(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Whether a decimal that std::from_chars called out of range is too small rather than too large: its first
// significant digit then stands behind the decimal point.
bool is_tiny(std::string_view text) {
  const std::size_t exponent_at = text.find_first_of("eE");
  const std::string_view mantissa = text.substr(0, exponent_at);
  const std::size_t first = mantissa.find_first_of("123456789");
  if (first == std::string_view::npos) return true;
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  if (exponent_at == std::string_view::npos) return first > point;
  // The place of the first digit (units = 0, tenths = -1) plus the exponent.
  const auto place = first < point ? static_cast<std::int64_t>(point - first) - 1
                                   : -static_cast<std::int64_t>(first - point);
  std::string_view digits = text.substr(exponent_at + 1);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  const auto exponent = parse_integer<std::int32_t>(digits);
  if (!exponent) return digits.starts_with('-');
  return place + *exponent < 0;
}

template <typename T>
std::optional<T> parse_float(const JsonNumber& number) {
  std::string_view text = number.text;
  if (number.non_finite) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const T value = text == "NaN" ? std::numeric_limits<T>::quiet_NaN() : std::numeric_limits<T>::infinity();
    return negative ? -value : value;
  }
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    if (!is_tiny(text)) return std::nullopt;
    return text.starts_with('-') ? -T{0} : T{0};
  }
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (value > std::numeric_limits<T>::max() || value < std::numeric_limits<T>::lowest()) return std::nullopt;
  return value;
}

}  // namespace

JsonNumber scan_json_number(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* at = text.data();
  if (at != end && *at == '-') ++at;
  const char* const digits = at;
  at = skip_digits(at, end);
  if (at == digits || (*digits == '0' && at - digits > 1)) return {};
  bool integral = true;
  if (at != end && *at == '.') {
    integral = false;
    const char* const fraction = ++at;
    at = skip_digits(at, end);
    if (at == fraction) return {};
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    integral = false;
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    const char* const exponent = at;
    at = skip_digits(at, end);
    if (at == exponent) return {};
  }
  return {text.substr(0, static_cast<std::size_t>(at - text.data())), integral, false};
}

std::optional<std::int64_t> JsonNumber::to_int64() const {
  if (!integral) return std::nullopt;
  return parse_integer<std::int64_t>(text);
}

std::optional<std::uint64_t> JsonNumber::to_uint64() const {
  if (!integral) return std::nullopt;
  if (text == "-0") return 0;
  return parse_integer<std::uint64_t>(text);
}

std::optional<float> JsonNumber::to_float() const {
  return parse_float<float>(*this);
}
std::optional<double> JsonNumber::to_double() const {
  return parse_float<double>(*this);
}

}  // namespace naiad
