#include <utility>

#include "io/http_session.h"

namespace naiad {

void HttpSession::forward() {
  ControlRequest request;
  append_control_request_head(request.head, head_, body_.bytes().size(), exchange_.key_name);
  request.body = body_.bytes();
  request.body_owner = body_.owner();
  request.repeatable = head_.method == "GET" || head_.method == "HEAD";
  const AnswerFraming& framing = exchange_.framing;
  request.client = {framing.head_request, framing.keep_alive, framing.minor_version};
  proxy_.forward(std::move(request));
}

void HttpSession::on_relayed(std::string bytes) {
  if (state_ != State::kEnded) send_text(std::move(bytes));
}

void HttpSession::on_relay_end(bool keep_alive) {
  if (state_ == State::kEnded) return;
  exchange_.framing.keep_alive = keep_alive;
  tell(proxy_.status());
  finish();
  advance();
}

void HttpSession::on_relay_failed(bool begun) {
  if (state_ == State::kEnded) return;
  if (begun) return end();  // only the missing end tells the client that there is more
  refuse(502, "the control plane did not answer");
  advance();
}

}  // namespace naiad
