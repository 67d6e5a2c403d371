#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/http1.h"

namespace naiad {

// How the client wants an answer of the control plane framed.
struct ClientFraming {
  bool head_request = false;  // HEAD: no body whatever the head says
  bool keep_alive = true;
  int minor_version = 1;
};

// How the body of an answer is framed on its way to the client.
enum class RelayFraming : unsigned char {
  kNone,     // no body
  kLength,   // as long as its Content-Length says
  kChunked,  // HTTP/1.1, length unknown
  kClose,    // HTTP/1.0, length unknown: ends with the connection
};

// Writes the head of a request for the control plane: method, target and end-to-end fields of `head`, as
// HTTP/1.1, with the length of the body that was read. What the client said about framing ends here
// (RFC 9110, section 7.6.1). `key_name`: of the key that was shown, "" without one. Any thread.
void append_control_request_head(std::string& text, const Http1Head& head, std::size_t body_bytes,
                                 std::string_view key_name = {});

// Says how the body of the control plane's answer goes to the client; clears client.keep_alive when only the
// end of the connection can mark its end. Any thread.
RelayFraming relay_framing(const Http1Head& answer, ClientFraming& client);

// Writes the head of the answer for the client. Any thread.
void append_relayed_head(std::string& text, const Http1Head& answer, RelayFraming framing,
                         const ClientFraming& client);

}  // namespace naiad
