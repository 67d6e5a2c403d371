#include "protocol/http_status.h"

#include "protocol/json_writer.h"
#include "protocol/utf8.h"

namespace naiad {

namespace {

void append_message(std::string& text, std::string_view message) {
  if (!append_json_string(text, message)) static_cast<void>(append_json_string(text, repaired_utf8(message)));
}

// As python/naiad/openai/errors.py has them.
std::string_view openai_type_of(int status) {
  switch (status) {
    case 403:
      return "request_forbidden";
    case 408:
    case 504:
      return "timeout_error";
    case 429:
      return "rate_limit_error";
    case 501:
      return "invalid_request_error";
    case 503:
      return "service_unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string_view openai_code_of(int status) {
  switch (status) {
    case 401:
      return R"("invalid_api_key")";
    case 429:
      return R"("rate_limit_exceeded")";
    case 500:
      return R"("internal")";
    case 501:
      return R"("unsupported")";
    case 503:
      return R"("unavailable")";
    case 504:
      return R"("deadline_exceeded")";
    default:
      return "null";
  }
}

}  // namespace

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

int openai_status_of(const Status& status) {
  const bool is_full = status.code() == Code::kUnavailable &&
                       status.message().find("Exceeds maximum queue size") != std::string_view::npos;
  return is_full ? 429 : http_status_of(status.code());
}

void append_error_body(std::string& text, std::string_view message) {
  text += R"({"error":)";
  append_message(text, message);
  text += '}';
}

void append_openai_error_body(std::string& text, int status, std::string_view message) {
  text += R"({"error":{"message":)";
  append_message(text, message);
  text.append(R"(,"type":")").append(openai_type_of(status));
  text.append(R"(","param":null,"code":)").append(openai_code_of(status)).append("}}");
}

}  // namespace naiad
