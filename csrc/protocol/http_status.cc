#include "protocol/http_status.h"

#include "protocol/json_writer.h"
#include "protocol/utf8.h"

namespace naiad {

int http_status_of(Code code) {
  switch (code) {
    case Code::kOk:
      return 200;
    case Code::kInvalidArgument:
      return 400;
    case Code::kNotFound:
      return 404;
    case Code::kAlreadyExists:
      return 400;
    case Code::kUnavailable:
      return 503;
    case Code::kDeadlineExceeded:
      return 504;
    case Code::kUnsupported:
      return 501;
    case Code::kCancelled:
      return 400;
    case Code::kInternal:
      return 500;
    case Code::kUnknown:
      return 400;
  }
  return 500;
}

void append_error_body(std::string& text, std::string_view message) {
  text += R"({"error":)";
  if (!append_json_string(text, message)) static_cast<void>(append_json_string(text, repaired_utf8(message)));
  text += '}';
}

}  // namespace naiad
