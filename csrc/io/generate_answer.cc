#include "io/generate_answer.h"

#include <array>

#include "protocol/generate.h"
#include "protocol/http_status.h"

namespace naiad {
namespace {

constexpr std::string_view kNotOne =
    "generate expects model to produce exactly 1 response, use generate stream for model that generates "
    "various number of responses";

}  // namespace

std::string GenerateAnswer::respond(const Request& request, const Response& response) {
  ++num_responses_;
  std::string text;
  if (streams_) {
    add_event(text, request, response);
  } else if (num_responses_ == 1) {
    status_ = append_generate_response(body_, request, response);
  }
  return text;
}

std::string GenerateAnswer::finish(const Request& request, const Response& response) {
  std::string text;
  if (!response.is_empty) text = respond(request, response);
  if (streams_) {
    if (!begun()) begin_events(text, 200);
    end_events(text);
    return text;
  }
  if (num_responses_ != 1) return failure(500, kNotOne);
  if (!status_.ok()) return failure(http_status_of(status_.code()), status_.message());
  const std::array fields{Http1Field{"Content-Type", "application/json"}};
  write_http1_response_head(text, 200, fields, body_.size(), framing_.keep_alive, framing_.minor_version);
  return text + body_;
}

void GenerateAnswer::add_event(std::string& text, const Request& request, const Response& response) {
  std::string event = "data: ";
  const Status status = append_generate_response(event, request, response);
  if (!status.ok()) append_error_body(event, status.message());
  event += "\n\n";
  if (!begun()) begin_events(text, http_status_of(status.code()));
  add_events(text, event);
}

}  // namespace naiad
