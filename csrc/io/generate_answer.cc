#include "io/generate_answer.h"

#include <array>
#include <charconv>

#include "protocol/generate.h"
#include "protocol/http_status.h"
#include "protocol/json_writer.h"

namespace naiad {
namespace {

constexpr std::string_view kNotOne =
    "generate expects model to produce exactly 1 response, use generate stream for model that generates "
    "various number of responses";

std::string text_of(Outgoing outgoing) {
  return std::move(outgoing.message.text());
}

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
    if (!begun_) begin(text, {});
    if (framing_.minor_version != 0) text += "0\r\n\r\n";
    return text;
  }
  if (num_responses_ != 1) {
    http_status_ = 500;
    return text_of(make_error_answer(http_status_, kNotOne, framing_));
  }
  http_status_ = http_status_of(status_.code());
  if (!status_.ok()) return text_of(make_error_answer(http_status_, status_.message(), framing_));
  const std::array fields{Http1Field{"Content-Type", "application/json"}};
  write_http1_response_head(text, 200, fields, body_.size(), framing_.keep_alive, framing_.minor_version);
  return text + body_;
}

void GenerateAnswer::begin(std::string& text, const Status& status) {
  begun_ = true;
  // Without chunks the end of the connection is the end of the events.
  if (framing_.minor_version == 0) framing_.keep_alive = false;
  const std::array fields{Http1Field{"Content-Type", "text/event-stream; charset=utf-8"},
                          Http1Field{"Transfer-Encoding", "chunked"}};
  http_status_ = http_status_of(status.code());
  write_http1_response_head(text, http_status_, std::span(fields).first(framing_.minor_version == 0 ? 1 : 2),
                            {}, framing_.keep_alive, framing_.minor_version);
}

void GenerateAnswer::add_event(std::string& text, const Request& request, const Response& response) {
  std::string event = "data: ";
  const Status status = append_generate_response(event, request, response);
  if (!status.ok()) append_error_body(event, status.message());
  event += "\n\n";
  if (!begun_) begin(text, status);
  if (framing_.minor_version == 0) {
    text += event;
    return;
  }
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), event.size(), 16).ptr;
  text.append(size.data(), end).append("\r\n").append(event).append("\r\n");
}

}  // namespace naiad
