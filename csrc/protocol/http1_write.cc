#include "protocol/http1.h"
#include "protocol/json_writer.h"

namespace naiad {
namespace {

// A value that came from elsewhere must not be able to begin another line (RFC 9110, section 5.5).
void append_value(std::string& text, std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back((byte < 0x20 && c != '\t') || byte == 0x7F ? ' ' : c);
  }
}

}  // namespace

void write_http1_response_head(std::string& text, int status, std::span<const Http1Field> fields,
                               std::optional<std::size_t> content_length, bool keep_alive,
                               int minor_version) {
  text += minor_version == 0 ? "HTTP/1.0 " : "HTTP/1.1 ";
  append_json_integer(text, status);
  text += ' ';
  text += http_reason(status);
  text += "\r\n";
  for (const Http1Field& field : fields) {
    text += field.name;
    text += ": ";
    append_value(text, field.value);
    text += "\r\n";
  }
  if (content_length) {
    text += "Content-Length: ";
    append_json_integer(text, *content_length);
    text += "\r\n";
  }
  if (keep_alive && minor_version == 0) text += "Connection: keep-alive\r\n";
  if (!keep_alive && minor_version != 0) text += "Connection: close\r\n";
  text += "\r\n";
}

std::string_view http_reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return {};
  }
}

}  // namespace naiad
