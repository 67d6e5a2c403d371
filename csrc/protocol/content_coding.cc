#include "protocol/content_coding.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "protocol/ascii_case.h"
#include "protocol/http1_line.h"

namespace naiad {
namespace {

// A weight as Python's float() reads it, within [0, 1]; 0 for whatever else is written there.
double read_weight(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double weight = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), weight);
  if (error != std::errc{} || end != text.data() + text.size()) return 0;
  // NaN compares false with everything.
  return weight >= 0 && weight <= 1 ? weight : 0;
}

// The weights of the codings that matter here; empty where the client does not name one.
struct Weights {
  std::optional<double> gzip;
  std::optional<double> deflate;
  std::optional<double> identity;
  std::optional<double> anything;

  std::optional<double>* of(std::string_view name) {
    if (equals_ignoring_case(name, "gzip")) return &gzip;
    if (equals_ignoring_case(name, "deflate")) return &deflate;
    if (equals_ignoring_case(name, "identity")) return &identity;
    return name == "*" ? &anything : nullptr;
  }
};

// One item: "gzip" or "gzip;q=0.5".
void read_item(std::string_view item, Weights& weights) {
  const std::size_t semicolon = std::min(item.find(';'), item.size());
  std::optional<double>* weight = weights.of(without_surrounding_space(item.substr(0, semicolon)));
  if (weight == nullptr) return;
  *weight = 1;
  const std::string_view parameter = item.substr(std::min(semicolon + 1, item.size()));
  const std::size_t equals = std::min(parameter.find('='), parameter.size());
  if (!equals_ignoring_case(without_surrounding_space(parameter.substr(0, equals)), "q")) return;
  *weight = read_weight(without_surrounding_space(parameter.substr(std::min(equals + 1, parameter.size()))));
}

}  // namespace

std::string_view content_coding_name(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kDeflate:
      return "deflate";
    case ContentCoding::kIdentity:
      break;
  }
  return "identity";
}

Status read_content_encoding(std::string_view value, ContentCoding& coding) {
  const std::string_view name = without_surrounding_space(value);
  if (name.empty() || equals_ignoring_case(name, "identity")) {
    coding = ContentCoding::kIdentity;
  } else if (equals_ignoring_case(name, "gzip")) {
    coding = ContentCoding::kGzip;
  } else if (equals_ignoring_case(name, "deflate")) {
    coding = ContentCoding::kDeflate;
  } else {
    return {Code::kUnsupported, "Unsupported compression type"};
  }
  return {};
}

ContentCoding choose_content_coding(std::string_view accept_encoding) {
  Weights weights;
  while (!accept_encoding.empty()) {
    const std::size_t comma = std::min(accept_encoding.find(','), accept_encoding.size());
    read_item(accept_encoding.substr(0, comma), weights);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
  }
  const double anything = weights.anything.value_or(0);
  const std::array<std::pair<ContentCoding, double>, 2> codings{{
      {ContentCoding::kGzip, weights.gzip.value_or(anything)},
      {ContentCoding::kDeflate, weights.deflate.value_or(anything)},
  }};
  ContentCoding best = ContentCoding::kIdentity;
  double best_weight = weights.identity.value_or(0);
  for (const auto& [coding, weight] : codings) {
    const bool is_as_good = best == ContentCoding::kIdentity && weight >= best_weight;
    if (weight > 0 && (weight > best_weight || is_as_good)) {
      best = coding;
      best_weight = weight;
    }
  }
  return best;
}

}  // namespace naiad
