#include <algorithm>
#include <array>

#include "protocol/ascii_case.h"
#include "protocol/http1.h"
#include "protocol/http1_head.h"
#include "protocol/http1_line.h"

namespace naiad {
namespace {

// HTTP/1.0 or HTTP/1.1, by these very letters.
Http1Parsed read_version(std::string_view version, Http1Head& head) {
  constexpr std::string_view kName = "HTTP/";
  if (version.size() != kName.size() + 3 || !version.starts_with(kName) || !is_ascii_digit(version[5]) ||
      version[6] != '.' || !is_ascii_digit(version[7])) {
    return http1_malformed(
        "the request line should be a method, a target and HTTP/1.1, with one space between");
  }
  if (version[5] != '1' || version[7] > '1') return http1_not_supported(505, "HTTP Version Not Supported");
  head.minor_version = version[7] - '0';
  return http1_complete();
}

// What a host's name is made of: tokens' characters but for four, and four more. A comma is allowed by the
// letter of RFC 3986, section 3.2.2, but is what two Host fields look like once somebody has joined them.
constexpr std::array<bool, 256> make_host_table() {
  std::array<bool, 256> table{};
  for (unsigned c = 0; c < 256; ++c) table[c] = is_token_char(static_cast<char>(c));
  for (const char c : {'#', '^', '`', '|'}) table[static_cast<unsigned char>(c)] = false;
  for (const char c : {'(', ')', ';', '='}) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kHost = make_host_table();

bool is_name(std::string_view host) {
  return std::ranges::all_of(host, [](char c) { return kHost[static_cast<unsigned char>(c)]; });
}

bool is_address(std::string_view host) {
  return !host.empty() &&
         std::ranges::all_of(host, [](char c) { return c == ':' || kHost[static_cast<unsigned char>(c)]; });
}

// A host and perhaps a port.
bool is_host(std::string_view host) {
  const bool in_brackets = host.starts_with('[');
  const std::size_t name_end = std::min(host.find(in_brackets ? ']' : ':'), host.size());
  if (in_brackets && name_end == host.size()) return false;
  const std::string_view port = host.substr(name_end + (in_brackets ? 1 : 0));
  if (!(in_brackets ? is_address(host.substr(1, name_end - 1)) : is_name(host.substr(0, name_end))))
    return false;
  return port.empty() || (port.front() == ':' && std::ranges::all_of(port.substr(1), is_ascii_digit));
}

// Takes the path and query out of an absolute target, http://host/path, whose host must be the Host field's:
// whoever looks at one of the two only must not come to another answer.
Http1Parsed read_absolute_target(std::string_view host, Http1Head& head) {
  std::string_view rest = head.target;
  const std::size_t scheme_size = std::min(rest.find(':'), rest.size());
  const std::string_view scheme = rest.substr(0, scheme_size);
  rest.remove_prefix(scheme_size);
  if (!rest.starts_with("://") ||
      !(equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https"))) {
    return http1_malformed("the request target should begin with a slash");
  }
  rest.remove_prefix(3);
  const std::size_t path = std::min(rest.find_first_of("/?"), rest.size());
  if (path == 0 || !equals_ignoring_case(rest.substr(0, path), host)) {
    return http1_malformed("the host of the request target should be the one of the Host field");
  }
  rest.remove_prefix(path);
  if (rest.starts_with('?')) return http1_malformed("the request target has a query but no path");
  head.target = rest.empty() ? std::string_view("/") : rest;
  return http1_complete();
}

Http1Parsed read_request_line(std::string_view line, Http1Head& head) {
  const std::size_t method_size = token_length(line);
  const std::size_t target_end = line.find(' ', method_size + 1);
  // With a second space behind it, there is a character behind the method.
  if (method_size == 0 || target_end == std::string_view::npos || line[method_size] != ' ') {
    return http1_malformed(
        "the request line should be a method, a target and HTTP/1.1, with one space between");
  }
  head.method = line.substr(0, method_size);
  head.target = line.substr(method_size + 1, target_end - method_size - 1);
  const Http1Parsed version = read_version(line.substr(target_end + 1), head);
  if (version.outcome != Http1Outcome::kComplete) return version;
  // Fragments are never sent; what is not ASCII must be percent-encoded.
  const bool is_printable =
      std::ranges::all_of(head.target, [](char c) { return c > ' ' && c <= '~' && c != '#'; });
  if (head.target.empty() || !is_printable) {
    return http1_malformed("the request target has a character that is not allowed there");
  }
  return http1_complete();
}

Http1Parsed judge_target(std::string_view host, Http1Head& head) {
  if (head.method == "CONNECT") return http1_not_supported(501, "CONNECT is not supported");
  if (head.target.front() == '/') return http1_complete();
  if (head.target != "*") return read_absolute_target(host, head);
  if (head.method == "OPTIONS") return http1_complete();
  return http1_malformed("the request target '*' is for OPTIONS");
}

Http1Parsed judge_request(const Http1Framing& framing, Http1Head& head) {
  if (framing.num_hosts > 1) return http1_malformed("Host should be given once");
  if (framing.num_hosts == 0 && head.minor_version >= 1) return http1_malformed("Host is missing");
  if (!is_host(framing.host)) return http1_malformed("Host should be a host name and perhaps a port");
  Http1Parsed parsed = judge_target(framing.host, head);
  if (parsed.outcome == Http1Outcome::kComplete) parsed = judge_http1_framing(framing, head);
  if (parsed.outcome != Http1Outcome::kComplete) return parsed;
  head.expect_continue = false;
  // RFC 9110, section 10.1.1: in HTTP/1.0 it means nothing.
  if (framing.num_expects > 0 && head.minor_version >= 1) {
    if (framing.num_expects > 1 || !equals_ignoring_case(framing.expect, "100-continue")) {
      return http1_not_supported(417, "Expect should be '100-continue'");
    }
    head.expect_continue = head.framing == BodyFraming::kChunked || head.content_length > 0;
  }
  return parsed;
}

}  // namespace

Http1Parsed parse_http1_request(std::span<const std::byte> input, const Http1Limits& limits, Http1Head& head,
                                std::size_t& scanned) {
  const std::string_view text = text_of(input);
  const Http1Extent extent = find_http1_head(text, limits, scanned);
  if (extent.parsed.outcome != Http1Outcome::kComplete) return extent.parsed;
  scanned = 0;
  head.fields.clear();
  head.status = 0;
  head.size_bytes = extent.size_bytes;
  // Without the blank line; every line ends with CRLF, and CR stands nowhere else.
  const std::string_view lines = text.substr(0, extent.size_bytes - 2).substr(extent.start_line);
  const std::size_t line_size = lines.find('\r');
  Http1Parsed parsed = read_request_line(lines.substr(0, line_size), head);
  if (parsed.outcome != Http1Outcome::kComplete) return parsed;
  Http1Framing framing;
  parsed = read_http1_fields(lines.substr(line_size + 2), limits, head, framing);
  return parsed.outcome == Http1Outcome::kComplete ? judge_request(framing, head) : parsed;
}

}  // namespace naiad
