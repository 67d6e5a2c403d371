#include "io/text_answer.h"

#include "protocol/http_status.h"

namespace naiad {

std::string TextAnswer::respond(const Request& request, const Response& response) {
  if (!failure_.ok()) return {};
  std::string events;
  const Status status = events_.add(events, request, response);
  return status.ok() ? send(events) : fail(status);
}

std::string TextAnswer::finish(const Request& request, const Response& response) {
  std::string text;
  if (!response.is_empty) text = respond(request, response);
  if (failure_.ok()) {
    std::string events;
    const Status status = events_.finish(events);
    text += status.ok() ? send(events) : fail(status);
  }
  if (!begun()) return failure(openai_status_of(failure_), failure_.message());
  add_events(text, events_.closing());
  end_events(text);
  return text;
}

std::string TextAnswer::send(std::string_view events) {
  std::string text;
  if (events.empty()) return text;
  if (!begun()) begin_events(text, 200, Http1Field{"Cache-Control", "no-cache"});
  add_events(text, events);
  return text;
}

std::string TextAnswer::fail(const Status& status) {
  failure_ = status;
  if (!begun()) return {};
  std::string event = "data: ";
  append_openai_error_body(event, openai_status_of(failure_), failure_.message());
  event += "\n\n";
  return send(event);
}

}  // namespace naiad
