#include "io/model_answer.h"

#include <array>
#include <charconv>
#include <span>
#include <utility>

namespace naiad {

void ModelAnswer::begin_events(std::string& text, int status, std::optional<Http1Field> hint) {
  begun_ = true;
  // Without chunks the end of the connection is the end of the events.
  if (framing_.minor_version == 0) framing_.keep_alive = false;
  std::array<Http1Field, 3> fields{Http1Field{"Content-Type", "text/event-stream; charset=utf-8"}};
  std::size_t num_fields = 1;
  if (framing_.minor_version != 0) fields[num_fields++] = {"Transfer-Encoding", "chunked"};
  if (hint) fields[num_fields++] = *hint;
  http_status_ = status;
  write_http1_response_head(text, status, std::span(fields).first(num_fields), {}, framing_.keep_alive,
                            framing_.minor_version);
}

void ModelAnswer::add_events(std::string& text, std::string_view events) const {
  if (framing_.minor_version == 0) {
    text += events;
    return;
  }
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), events.size(), 16).ptr;
  text.append(size.data(), end).append("\r\n").append(events).append("\r\n");
}

void ModelAnswer::end_events(std::string& text) const {
  if (framing_.minor_version != 0) text += "0\r\n\r\n";
}

std::string ModelAnswer::failure(int status, std::string_view message) {
  http_status_ = status;
  return std::move(make_error_answer(status, message, framing_).message.text());
}

}  // namespace naiad
