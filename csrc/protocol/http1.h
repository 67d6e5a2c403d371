#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace naiad {

// Bounds of an HTTP/1.1 message head and of chunked framing. What exceeds them is refused before it is
// stored.
struct Http1Limits {
  std::size_t max_line_bytes = 8 << 10;  // request line, or one field
  std::size_t max_head_bytes = 64 << 10;
  std::size_t max_fields = 100;
  std::size_t max_chunks = 65'536;  // non-empty chunks of one body
};

struct Http1Field {
  std::string_view name;   // as received
  std::string_view value;  // without surrounding white space
};

// How long a body is, from the head alone (RFC 9112, section 6.3).
enum class BodyFraming : unsigned char { kNone, kLength, kChunked, kUntilClose /* responses only */ };

// The head of a request or a response. Views point into the bytes that were parsed.
struct Http1Head {
  std::string_view method;  // requests
  std::string_view target;  // requests: origin form, or "*" of OPTIONS
  int status = 0;           // responses
  int minor_version = 1;    // HTTP/1.minor
  std::vector<Http1Field> fields;
  BodyFraming framing = BodyFraming::kNone;
  std::size_t content_length = 0;  // kLength
  bool keep_alive = true;
  bool expect_continue = false;
  std::size_t size_bytes = 0;  // of the head, blank line included

  // The value of the first field of that name (ASCII case aside); empty optional when there is none. Any
  // thread.
  std::optional<std::string_view> field(std::string_view name) const;
  std::size_t count(std::string_view name) const;
};

// What came of parsing a head.
enum class Http1Outcome : unsigned char {
  kIncomplete,  // more bytes are needed; nothing is kept
  kComplete,
  kMalformed,     // 400 and close: where the next message begins is not known
  kTooLarge,      // 431 and close
  kNotSupported,  // 505 (version), 501 (transfer coding, CONNECT) or 417 (Expect) and close: see `status`
};

struct Http1Parsed {
  Http1Outcome outcome = Http1Outcome::kIncomplete;
  int status = 400;         // to answer when it is neither kIncomplete nor kComplete
  std::string_view reason;  // a constant sentence
};

// Parses the head at the start of `input`, which begins where the last message ended. Strict RFC 9112: bare
// LF, obs-fold, white space before the colon, control characters, repeated Content-Length, both
// Content-Length and Transfer-Encoding, a Transfer-Encoding that does not end with "chunked" (RFC 9112,
// section 6.3), more than one Host, a missing Host in HTTP/1.1 and an absolute target with another host are
// kMalformed. Another coding before "chunked" and CONNECT are 501, another version 505, an Expect other than
// 100-continue 417, all kNotSupported. One empty line in front is passed over; an absolute target becomes its
// path. `scanned` is how much of input an earlier call has seen without finding the end: what is not looked
// at twice; updated, 0 once the head is complete. Pure; any thread.
Http1Parsed parse_http1_request(std::span<const std::byte> input, const Http1Limits& limits, Http1Head& head,
                                std::size_t& scanned);
Http1Parsed parse_http1_response(std::span<const std::byte> input, const Http1Limits& limits, Http1Head& head,
                                 std::size_t& scanned);

// Takes a chunked body apart, incrementally. Trailers are read and dropped.
class ChunkedReader {
 public:
  struct Step {
    Http1Outcome outcome = Http1Outcome::kIncomplete;  // kComplete: the body has ended
    std::size_t consumed_bytes = 0;                    // of input
    std::span<const std::byte> data;                   // chunk bytes among them
  };
  explicit ChunkedReader(const Http1Limits& limits) : limits_(limits) {}
  // Looks at the start of `input`; call again with the rest until it consumes nothing or ends. Pure state;
  // one thread.
  Step step(std::span<const std::byte> input);

 private:
  // What a whole line in the present state comes to; kIncomplete: go on.
  Http1Outcome take_line(std::string_view line);

  Http1Limits limits_;
  enum class State : unsigned char { kSize, kData, kDataEnd, kTrailer, kDone } state_ = State::kSize;
  std::size_t left_in_chunk_ = 0;
  std::size_t num_chunks_ = 0;
  std::size_t trailer_bytes_ = 0;
};

// Appends a response head to `text`: status line, the fields, Content-Length (unless `content_length` is
// empty), Connection when it is not the default of the version, and the blank line.
void write_http1_response_head(std::string& text, int status, std::span<const Http1Field> fields,
                               std::optional<std::size_t> content_length, bool keep_alive, int minor_version);

// The reason phrase of a status ("OK"). Any thread.
std::string_view http_reason(int status);

}  // namespace naiad
