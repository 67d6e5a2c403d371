#include <algorithm>

#include "protocol/ascii_case.h"
#include "protocol/http1.h"
#include "protocol/http1_head.h"

namespace naiad {
namespace {

// "HTTP/1.1 200 OK"; the space behind the number is there even without a phrase (RFC 9112, section 4).
Http1Parsed read_status_line(std::string_view line, Http1Head& head) {
  constexpr std::string_view kName = "HTTP/1.";
  if (line.size() < 13 || !line.starts_with(kName) || !is_ascii_digit(line[7]) || line[8] != ' ' ||
      !std::ranges::all_of(line.substr(9, 3), is_ascii_digit) || line[12] != ' ' || line[9] == '0') {
    return http1_malformed("the status line should be HTTP/1.1, a status and a phrase");
  }
  if (line[7] > '1') return http1_not_supported(505, "HTTP Version Not Supported");
  head.minor_version = line[7] - '0';
  head.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  return http1_complete();
}

}  // namespace

Http1Parsed parse_http1_response(std::span<const std::byte> input, const Http1Limits& limits, Http1Head& head,
                                 std::size_t& scanned) {
  const std::string_view text = text_of(input);
  const Http1Extent extent = find_http1_head(text, limits, scanned);
  if (extent.parsed.outcome != Http1Outcome::kComplete) return extent.parsed;
  scanned = 0;
  head.fields.clear();
  head.method = head.target = {};
  head.expect_continue = false;
  head.size_bytes = extent.size_bytes;
  const std::string_view lines = text.substr(0, extent.size_bytes - 2);
  const std::size_t line_size = lines.find('\r');
  Http1Parsed parsed = read_status_line(lines.substr(0, line_size), head);
  if (parsed.outcome != Http1Outcome::kComplete) return parsed;
  Http1Framing framing;
  parsed = read_http1_fields(lines.substr(line_size + 2), limits, head, framing);
  if (parsed.outcome == Http1Outcome::kComplete) parsed = judge_http1_framing(framing, head);
  if (parsed.outcome != Http1Outcome::kComplete) return parsed;
  const bool has_no_body = head.status < 200 || head.status == 204 || head.status == 304;
  if (has_no_body) {
    head.framing = BodyFraming::kNone;
  } else if (head.framing == BodyFraming::kNone) {
    head.framing = BodyFraming::kUntilClose;
    head.keep_alive = false;
  }
  return parsed;
}

}  // namespace naiad
