#include "protocol/http1_head.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/ascii_case.h"
#include "protocol/http1_line.h"

namespace naiad {
namespace {

// Where the line begins that `position` lies in. What is before it holds LF only at the ends of lines.
std::size_t line_start(std::string_view text, std::size_t position) {
  const void* end = position == 0 ? nullptr : memrchr(text.data(), '\n', position);
  return end == nullptr ? 0 : static_cast<std::size_t>(static_cast<const char*>(end) - text.data()) + 1;
}

void read_connection(std::string_view value, Http1Framing& framing) {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view option = without_surrounding_space(value.substr(0, comma));
    if (equals_ignoring_case(option, "close")) framing.close = true;
    if (equals_ignoring_case(option, "keep-alive")) framing.keep_alive = true;
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

// Notes the fields that decide where the message ends, told apart by their lengths first.
void note(const Http1Field& field, Http1Framing& framing) {
  switch (field.name.size()) {
    case 4:
      if (!equals_ignoring_case(field.name, "host")) return;
      framing.host = field.value;
      ++framing.num_hosts;
      return;
    case 6:
      if (!equals_ignoring_case(field.name, "expect")) return;
      framing.expect = field.value;
      ++framing.num_expects;
      return;
    case 10:
      if (equals_ignoring_case(field.name, "connection")) read_connection(field.value, framing);
      return;
    case 14:
      if (!equals_ignoring_case(field.name, "content-length")) return;
      framing.content_length = field.value;
      ++framing.num_content_lengths;
      return;
    case 17:
      if (!equals_ignoring_case(field.name, "transfer-encoding")) return;
      framing.transfer_encoding = field.value;
      ++framing.num_transfer_encodings;
      return;
    default:
      return;
  }
}

// RFC 9112, section 6.3: without "chunked" as the last coding nobody knows where the body ends (400); with
// it, a coding before it could be understood by somebody, but is not by this server (501).
Http1Parsed judge_transfer_encoding(std::string_view value) {
  if (equals_ignoring_case(value, "chunked")) return http1_complete();
  bool chunked_is_last = false;
  bool chunked_is_before = false;
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    chunked_is_before = chunked_is_before || chunked_is_last;
    chunked_is_last = equals_ignoring_case(without_surrounding_space(value.substr(0, comma)), "chunked");
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  if (!chunked_is_last || chunked_is_before) {
    return http1_malformed("Transfer-Encoding should end with one 'chunked'");
  }
  return http1_not_supported(501, "Transfer-Encoding should be 'chunked' alone");
}

}  // namespace

Http1Extent find_http1_head(std::string_view text, const Http1Limits& limits, std::size_t& scanned) {
  using Outcome = Http1Line::Outcome;
  const std::size_t last_head_end = limits.max_head_bytes < 2 ? 0 : limits.max_head_bytes - 2;
  scanned = std::min(scanned, text.size());
  std::size_t line = line_start(text, scanned);
  for (;;) {
    const std::size_t last_end = std::min(line + limits.max_line_bytes, last_head_end);
    const Http1Line found = find_line_end(text, scanned, last_end);
    scanned = found.end;
    if (found.outcome == Outcome::kIncomplete) return {};
    if (found.outcome == Outcome::kTooLong) return {http1_too_large("the head of the message is too large")};
    if (found.outcome == Outcome::kControl) {
      return {http1_malformed(
          "the head of the message has a control character, or a line does not end with CRLF")};
    }
    const bool is_blank = found.end == line;
    const bool after_empty_line = text.front() == '\r';
    if (is_blank && line == 2 && after_empty_line) return {http1_malformed("there is no start line")};
    scanned = line = found.end + 2;
    if (is_blank && line > 2) return {http1_complete(), after_empty_line ? 2UL : 0UL, line};
  }
}

Http1Parsed read_http1_fields(std::string_view lines, const Http1Limits& limits, Http1Head& head,
                              Http1Framing& framing) {
  while (!lines.empty()) {
    if (head.fields.size() == limits.max_fields) return http1_too_large("the message has too many fields");
    const std::size_t name_size = token_length(lines);
    if (name_size == 0 || lines[name_size] != ':') {
      return http1_malformed("a line should be a field name, a colon and a value");
    }
    const char* rest = lines.data() + name_size + 1;
    const auto* end = static_cast<const char*>(std::memchr(rest, '\r', lines.size() - name_size - 1));
    const auto value_size = static_cast<std::size_t>(end - rest);
    head.fields.push_back({lines.substr(0, name_size), without_surrounding_space({rest, value_size})});
    note(head.fields.back(), framing);
    lines.remove_prefix(name_size + 1 + value_size + 2);
  }
  return http1_complete();
}

Http1Parsed judge_http1_framing(const Http1Framing& framing, Http1Head& head) {
  head.keep_alive = !framing.close && (head.minor_version >= 1 || framing.keep_alive);
  head.framing = BodyFraming::kNone;
  head.content_length = 0;
  if (framing.num_transfer_encodings > 0) {
    if (framing.num_content_lengths > 0) {
      return http1_malformed("Content-Length and Transfer-Encoding should not both be given");
    }
    if (framing.num_transfer_encodings > 1) return http1_malformed("Transfer-Encoding should be given once");
    if (head.minor_version == 0) return http1_malformed("HTTP/1.0 has no Transfer-Encoding");
    head.framing = BodyFraming::kChunked;
    return judge_transfer_encoding(framing.transfer_encoding);
  }
  if (framing.num_content_lengths == 0) return http1_complete();
  if (framing.num_content_lengths > 1) return http1_malformed("Content-Length should be given once");
  const std::string_view digits = framing.content_length;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), head.content_length);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return http1_malformed("Content-Length should be a decimal number");
  }
  head.framing = BodyFraming::kLength;
  return http1_complete();
}

std::optional<std::string_view> Http1Head::field(std::string_view name) const {
  for (const Http1Field& field : fields) {
    if (equals_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t Http1Head::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields, [name](const Http1Field& field) { return equals_ignoring_case(field.name, name); }));
}

}  // namespace naiad
