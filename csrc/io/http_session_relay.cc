#include <utility>

#include "io/http_session.h"
#include "io/text_answer.h"
#include "protocol/generate.h"

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

void HttpSession::on_handed_over(std::string message, std::size_t frame_bytes) {
  if (state_ == State::kEnded) return;
  if (const Status status = submit(std::move(message), frame_bytes); status.ok()) {
    out_ = true;
  } else {
    refuse(status);
  }
  advance();
}

Status HttpSession::submit(std::string message, std::size_t frame_bytes) {
  exchange_.infer = true;
  exchange_.generate = true;
  auto request = std::make_unique<Request>();
  const std::string_view text = request->text.emplace_back(std::move(message));
  TextFrame frame;
  if (Status status = read_text_frame(text.substr(0, frame_bytes), frame); !status.ok()) return status;
  request->model_name = request->text.emplace_back(frame.model);
  generated_ = std::make_unique<TextAnswer>(std::move(frame), exchange_.framing);
  if (context_.engine.tracer().on()) start_trace(*request);
  std::shared_ptr<Model> model;
  if (Status status = context_.engine.find(request->model_name, "", model); !status.ok()) return status;
  const auto body = std::as_bytes(std::span(text.substr(frame_bytes)));
  const Status status =
      decode_generate(body, model->spec(), context_.pool, context_.options.decode, *request);
  return status.ok() ? send_in(std::move(request)) : status;
}

void HttpSession::on_relay_failed(bool begun) {
  if (state_ == State::kEnded) return;
  if (begun) return end();  // only the missing end tells the client that there is more
  refuse(502, "the control plane did not answer");
  advance();
}

}  // namespace naiad
