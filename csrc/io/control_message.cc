#include "io/control_message.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <vector>

#include "io/access_gate.h"
#include "protocol/json_writer.h"

namespace naiad {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// Fields that belong to one connection (RFC 9110, section 7.6.1) or to the framing, which is written anew.
// Expect has been answered already.
bool of_connection(std::string_view name) {
  constexpr std::array<std::string_view, 11> kNames = {
      "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
      "te",         "trailer",    "upgrade",          "transfer-encoding",  "content-length",
      "expect"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view known) { return same_name(name, known); });
}

// Whether a Connection field of the message names `name`.
bool named_by_connection(const Http1Head& head, std::string_view name) {
  for (const Http1Field& field : head.fields) {
    if (!same_name(field.name, "connection")) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      std::string_view option = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (!option.empty() && (option.front() == ' ' || option.front() == '\t')) option.remove_prefix(1);
      while (!option.empty() && (option.back() == ' ' || option.back() == '\t')) option.remove_suffix(1);
      if (same_name(option, name)) return true;
    }
  }
  return false;
}

bool end_to_end(const Http1Head& head, std::string_view name) {
  return !of_connection(name) && !named_by_connection(head, name);
}

}  // namespace

void append_control_request_head(std::string& text, const Http1Head& head, std::size_t body_bytes,
                                 std::string_view key_name) {
  text.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  bool host = false;
  for (const Http1Field& field : head.fields) {
    // A Host that Connection names is still the target's part of the request.
    const bool is_host = same_name(field.name, "host");
    if (!is_host && !end_to_end(head, field.name)) continue;
    if (same_name(field.name, kKeyNameField)) continue;  // a client cannot say who it is
    host = host || is_host;
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (!host) text.append("Host: localhost\r\n");  // HTTP/1.0 needs none
  if (!key_name.empty()) text.append(kKeyNameField).append(": ").append(key_name).append("\r\n");
  text.append("Content-Length: ");
  append_json_integer(text, body_bytes);
  text.append("\r\n\r\n");
}

RelayFraming relay_framing(const Http1Head& answer, ClientFraming& client) {
  if (client.head_request || answer.status == 204 || answer.status == 304) return RelayFraming::kNone;
  switch (answer.framing) {
    case BodyFraming::kNone:  // of 0 bytes: the client must be told
    case BodyFraming::kLength:
      return RelayFraming::kLength;
    case BodyFraming::kChunked:
    case BodyFraming::kUntilClose:
      break;
  }
  if (client.minor_version >= 1) return RelayFraming::kChunked;
  client.keep_alive = false;
  return RelayFraming::kClose;
}

void append_relayed_head(std::string& text, const Http1Head& answer, RelayFraming framing,
                         const ClientFraming& client) {
  std::vector<Http1Field> fields;
  fields.reserve(answer.fields.size() + 1);
  for (const Http1Field& field : answer.fields) {
    if (end_to_end(answer, field.name)) fields.push_back(field);
  }
  std::optional<std::size_t> length;
  if (framing == RelayFraming::kLength) length = answer.content_length;
  if (framing == RelayFraming::kChunked) fields.push_back({"Transfer-Encoding", "chunked"});
  // What a GET would have been answered with (RFC 9110, section 8.6); 204 has none.
  if (framing == RelayFraming::kNone && answer.status != 204) {
    if (const auto announced = answer.field("Content-Length")) {
      fields.push_back({"Content-Length", *announced});
    }
  }
  write_http1_response_head(text, answer.status, fields, length, client.keep_alive, client.minor_version);
}

}  // namespace naiad
