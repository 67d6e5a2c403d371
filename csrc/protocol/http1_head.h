#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "protocol/http1.h"

namespace naiad {

// Steps that requests and responses share. Any thread.

// Where a head lies: its start line begins at `start_line`.
struct Http1Extent {
  Http1Parsed parsed;
  std::size_t start_line = 0;
  std::size_t size_bytes = 0;
};

// Looks for the blank line that ends a head. One empty line in front is passed over (RFC 9112, section 2.2).
// Nothing but the form of lines is judged: no bare CR or LF, no control character, no limit passed.
Http1Extent find_http1_head(std::string_view text, const Http1Limits& limits, std::size_t& scanned);

// What fields say about framing and connection, before it is judged.
struct Http1Framing {
  std::string_view host;
  std::string_view content_length;
  std::string_view transfer_encoding;
  std::string_view expect;
  std::size_t num_hosts = 0;
  std::size_t num_content_lengths = 0;
  std::size_t num_transfer_encodings = 0;
  std::size_t num_expects = 0;
  bool close = false;
  bool keep_alive = false;
};

// Reads the field lines (each ends with CRLF) into `head.fields`.
Http1Parsed read_http1_fields(std::string_view lines, const Http1Limits& limits, Http1Head& head,
                              Http1Framing& framing);

// Sets framing, content_length and keep_alive of `head`, whose minor_version is set; kNone where neither
// Content-Length nor Transfer-Encoding is given.
Http1Parsed judge_http1_framing(const Http1Framing& framing, Http1Head& head);

// The outcomes.
inline Http1Parsed http1_complete() {
  return {Http1Outcome::kComplete, 200, {}};
}
inline Http1Parsed http1_malformed(std::string_view reason) {
  return {Http1Outcome::kMalformed, 400, reason};
}
inline Http1Parsed http1_too_large(std::string_view reason) {
  return {Http1Outcome::kTooLarge, 431, reason};
}
inline Http1Parsed http1_not_supported(int status, std::string_view reason) {
  return {Http1Outcome::kNotSupported, status, reason};
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace naiad
