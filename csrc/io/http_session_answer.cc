#include <memory>
#include <utility>

#include "io/http_session.h"
#include "request/response_window.h"
#include "request/trace.h"

// What models answer, on its way to the client.
namespace naiad {
namespace {

// Deflating this much takes some 50 us, as long as changing threads and back on a busy machine.
constexpr std::size_t kMaxDeflatedHereBytes = 4 << 10;

}  // namespace

void HttpSession::on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) {
  out_ = false;
  if (state_ == State::kEnded) return;
  exchange_.framing.keep_alive = exchange_.framing.keep_alive && !leaving();
  if (mark == kAwaitsModel) {
    response.status.ok() ? submit_or_refuse() : refuse(response.status);
    return advance();
  }
  if (trace_) trace_->mark_now(TraceMark::kInferResponseComplete);
  if (exchange_.generate) {
    if (leaving()) generated_->refuse_keep_alive();
    std::string text = generated_->finish(*request, response);
    exchange_.framing.keep_alive = exchange_.framing.keep_alive && generated_->keep_alive();
    tell(generated_->http_status());
    trace_answer();
    send_text(std::move(text));
    finish();
    return advance();
  }
  answer(std::move(request), std::move(response));
}

void HttpSession::answer(std::unique_ptr<Request> request, Response response) {
  const ContentCoding coding = exchange_.answer_coding;
  if (coding == ContentCoding::kIdentity || response.size_bytes() <= kMaxDeflatedHereBytes) {
    Outgoing outgoing;
    const Status status =
        make_infer_answer(std::move(request), std::move(response), coding, exchange_.framing, outgoing);
    return send_answer(status, std::move(outgoing));
  }
  struct Deflation {
    std::unique_ptr<Request> request;
    Response response;
    AnswerFraming framing;
    Status status;
    Outgoing outgoing;
  };
  const auto work = std::make_shared<Deflation>();
  work->request = std::move(request);
  work->response = std::move(response);
  work->framing = exchange_.framing;
  deflation_ = context_.coding.run(
      [work, coding] {
        work->status = make_infer_answer(std::move(work->request), std::move(work->response), coding,
                                         work->framing, work->outgoing);
      },
      [this, work] { send_answer(work->status, std::move(work->outgoing)); });
}

void HttpSession::send_answer(const Status& status, Outgoing outgoing) {
  trace_answer();
  if (status.ok()) {
    tell(200);
    stream_->send(std::move(outgoing));
    finish();
  } else {
    refuse(status);
  }
  advance();
}

// Only a generate request is answered more than once.
void HttpSession::on_response(std::uint64_t, const Request& request, Response response) {
  if (state_ == State::kEnded) return request.window->taken(response.size_bytes());
  if (trace_) trace_->mark_now(TraceMark::kInferResponseComplete);
  send_text(generated_->respond(request, response));
  const bool behind = state_ != State::kEnded && stream_->unsent_bytes() > kMaxUnsentBytes;
  unsent_.add(request, response.size_bytes(), behind);
  if (state_ != State::kEnded) await();
}

}  // namespace naiad
