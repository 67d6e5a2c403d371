#include "io/http_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "io/access_line.h"
#include "io/generate_answer.h"
#include "io/model_of_path.h"
#include "protocol/generate.h"
#include "protocol/header_number.h"
#include "protocol/http_status.h"
#include "protocol/v2_http.h"
#include "protocol/v2_route.h"
#include "request/response_window.h"
#include "request/trace.h"

namespace naiad {
namespace {

constexpr std::string_view kStopping =
    "Server is stopping, scheduler for model has stopped accepting new inference requests";
constexpr std::string_view kRefusalOfMany =
    "HTTP end point doesn't support models with decoupled transaction policy";
// What read_content_encoding() says of another coding.
constexpr std::string_view kUnsupportedCoding = "Unsupported compression type";
// Of requests that wait behind the one that is being answered.
constexpr std::size_t kMaxAheadBytes = 64 << 10;
// The status that is counted for a client that did not wait for its answer.
constexpr int kClientGone = 499;

std::string too_large(std::size_t size_bytes, std::size_t max_bytes) {
  return "request JSON size of " + std::to_string(size_bytes) +
         " bytes exceeds the maximum allowed input size of " + std::to_string(max_bytes) +
         " bytes. Use --http-max-input-size to increase the limit.";
}

}  // namespace

HttpSession::HttpSession(SessionContext& context, std::unique_ptr<Transport> transport)
    : context_(context),
      body_(context.pool, context.bytes, context.options.max_message_bytes),
      inflation_(context.coding, context.pool, context.options.max_message_bytes),
      proxy_(context.loop, context.bridge, context.pool, *this),
      timer_(context.loop, [this] { on_due(); }),
      peer_(context.options.access_log ? peer_address(transport->fd()) : ""),
      client_(context.options.http.gate.needs_keys() ? client_network(transport->fd()) : 0),
      stream_(std::make_unique<Stream>(context.loop, std::move(transport), context.pool,
                                       static_cast<Stream::User&>(*this))) {
  stream_->start();
  await();
}

HttpSession::~HttpSession() {
  if (state_ != State::kEnded && out_) context_.in_flight.abandon(*this);
}

std::unique_ptr<Session> make_http_session(SessionContext& context, std::unique_ptr<Transport> transport) {
  return std::make_unique<HttpSession>(context, std::move(transport));
}

void HttpSession::drain() {
  draining_ = true;
  if (state_ != State::kEnded && idle()) await();
}

bool HttpSession::idle() const {
  return state_ == State::kEnded ||
         (state_ == State::kHead && stream_->input().empty() && stream_->unsent_bytes() == 0);
}

void HttpSession::on_input() {
  advance();
}

void HttpSession::on_sent() {
  if (const std::shared_ptr<Trace> sent = std::move(sending_)) sent->mark_now(TraceMark::kHttpSendEnd);
  unsent_.gone();
  if (state_ == State::kAnswering && !exchange_.infer) proxy_.resume();
  advance();
}

void HttpSession::on_gone() {
  end();
}

void HttpSession::advance() {
  if (advancing_) return;  // the call further out goes on
  advancing_ = true;
  while (step()) {
  }
  advancing_ = false;
  if (state_ != State::kEnded) await();
}

bool HttpSession::step() {
  switch (state_) {
    case State::kHead:
      if (paused_) {
        paused_ = false;
        stream_->resume();
        return true;  // what it has received meanwhile is dealt with
      }
      return read_head();
    case State::kBody: {
      const HttpBody::Progress progress = body_.receive(*stream_);
      take(progress);
      return progress != HttpBody::Progress::kMore;
    }
    case State::kSkipping: {
      const HttpBody::Progress progress = body_.skip(*stream_);
      if (progress == HttpBody::Progress::kMore) return false;
      if (progress != HttpBody::Progress::kWhole) exchange_.framing.keep_alive = false;
      finish();
      return true;
    }
    case State::kAnswering:
      if (!paused_ && stream_->input().size() > kMaxAheadBytes) {
        paused_ = true;
        stream_->pause();
      }
      return false;
    case State::kClosing:
    case State::kEnded:
      return false;
  }
  return false;
}

bool HttpSession::read_head() {
  const auto input = stream_->input();
  if (input.empty()) return false;
  if (stream_->unsent_bytes() > kMaxUnsentBytes) {
    if (input.size() > kMaxAheadBytes && !paused_) {
      paused_ = true;
      stream_->pause();
    }
    return false;
  }
  const Http1Parsed parsed = parse_http1_request(input, limits_, head_, scanned_);
  if (parsed.outcome == Http1Outcome::kIncomplete) return false;
  scanned_ = 0;
  awaited_ = Awaited::kNothing;
  if (parsed.outcome == Http1Outcome::kComplete) {
    begin();
  } else {
    exchange_ = {};
    exchange_.told = false;
    head_ = {};
    begun_ns_ = context_.loop.now_ns();
    refuse_and_close(parsed.status, "malformed HTTP request: " + std::string(parsed.reason));
  }
  return true;
}

void HttpSession::begin() {
  state_ = State::kBody;
  begun_ns_ = context_.loop.now_ns();
  head_owner_ = stream_->input_owner();
  stream_->consume(head_.size_bytes);
  body_.announce(head_);
  exchange_.framing = {.keep_alive = head_.keep_alive && !leaving(),
                       .minor_version = head_.minor_version,
                       .head_request = head_.method == "HEAD"};
  exchange_.expects_continue = head_.expect_continue && !body_.whole();
  exchange_.route = find_v2_route(head_.target);
  exchange_.infer = head_.method == "POST" && exchange_.route.endpoint != V2Route::Endpoint::kControl;
  exchange_.generate = exchange_.infer && exchange_.route.endpoint != V2Route::Endpoint::kInfer;
  exchange_.told = false;
  if (!admit()) return;
  if (exchange_.infer) {
    if (const Status status = begin_infer(); !status.ok()) return refuse(status);
  }
  const HttpBody::Progress progress = body_.begin(*stream_);
  if (progress == HttpBody::Progress::kMore && exchange_.expects_continue) {
    exchange_.expects_continue = false;
    Outgoing outgoing;
    outgoing.message.text() = "HTTP/1.1 100 Continue\r\n\r\n";
    outgoing.message.end_text();
    stream_->send(std::move(outgoing));
  }
  take(progress);
}

// What can be refused before the body is read.
Status HttpSession::begin_infer() {
  if (context_.stopping.load(std::memory_order_relaxed)) {
    return {Code::kUnavailable, std::string(kStopping)};
  }
  exchange_.coding = ContentCoding::kIdentity;
  exchange_.answer_coding = choose_content_coding(head_.field("Accept-Encoding").value_or(""));
  const auto coding = head_.field("Content-Encoding");
  if (!coding) return {};
  // Two fields are a list of two codings.
  return read_content_encoding(head_.count("Content-Encoding") == 1 ? *coding : ",", exchange_.coding);
}

void HttpSession::take(HttpBody::Progress progress) {
  if (state_ == State::kEnded) return;
  switch (progress) {
    case HttpBody::Progress::kMore:
      return;
    case HttpBody::Progress::kWhole:
      state_ = State::kAnswering;
      return exchange_.infer ? infer() : forward();
    case HttpBody::Progress::kMalformed:
      return refuse_and_close(400, "malformed request body");
    case HttpBody::Progress::kTooLarge:
      return refuse(400, too_large(body_.size_bytes(), context_.options.max_message_bytes));
    case HttpBody::Progress::kNoBudget:
      return refuse(503, kBudgetSpent);
    case HttpBody::Progress::kNoMemory:
      return refuse(503, kMemoryExhausted);
  }
}

void HttpSession::infer() {
  if (exchange_.coding == ContentCoding::kIdentity) return submit_or_refuse();
  inflation_.begin(body_.bytes(), body_.owner(), exchange_.coding, [this](Status status, PlainBody plain) {
    if (status.ok()) status = body_.replace(std::move(plain));
    status.ok() ? submit_or_refuse() : refuse(status);
    advance();
  });
}

void HttpSession::submit_or_refuse() {
  const Status status = submit();
  if (!status.ok()) return refuse(status);
  out_ = true;
}

Status HttpSession::submit() {
  auto request = std::make_unique<Request>();
  request->body = body_.owner();
  name_model(*request);
  if (exchange_.generate && context_.engine.can_summon(request->model_name)) {
    return await_model(std::move(request));
  }
  if (context_.engine.tracer().on()) start_trace(*request);
  Status status = decode(*request);
  if (status.code() == Code::kNotFound && context_.engine.can_summon(request->model_name)) {
    return await_model(std::move(request));
  }
  const HeaderForward& forward = context_.options.http.forward;
  if (status.ok() && forward.forwards_any()) {
    for (const Http1Field& field : head_.fields) {
      if (context_.options.http.gate.reads(field.name)) continue;
      if (status.ok()) status = forward.add(field.name, field.value, *request);
    }
  }
  return status.ok() ? send_in(std::move(request)) : status;
}

Status HttpSession::send_in(std::unique_ptr<Request> request) {
  context_.in_flight.add(*request, *this, kInference);
  trace_ = request->trace;
  const Status status = context_.engine.submit(request);
  if (!status.ok()) {
    context_.in_flight.remove(*request);
    trace_.reset();
  }
  return status;
}

Status HttpSession::await_model(std::unique_ptr<Request> request) {
  request->trace.reset();  // one begins when it is decoded
  context_.in_flight.add(*request, *this, kAwaitsModel);
  const Status status = context_.engine.await_model(request);
  if (!status.ok()) context_.in_flight.remove(*request);
  return status;
}

Status HttpSession::decode(Request& request) {
  std::shared_ptr<Model> model;
  if (exchange_.generate) {
    const bool streams = exchange_.route.endpoint == V2Route::Endpoint::kGenerateStream;
    generated_ = std::make_unique<GenerateAnswer>(streams, exchange_.framing);
    Status status = find_model_of_path(context_.engine, request, model);
    if (!status.ok()) return status;
    return decode_generate(body_.bytes(), model->spec(), context_.pool, context_.options.decode, request);
  }
  std::optional<std::size_t> header_length;
  Status status = read_inference_header_length(head_, body_.bytes().size(), header_length);
  if (!status.ok()) return status;
  request.refusal_of_many = kRefusalOfMany;
  // Only the raw form is read by the model's description: the others may be for one that is yet to be loaded.
  status = find_model_of_path(context_.engine, request, model);
  const bool is_raw = header_length == std::size_t{0};
  if (!status.ok() && (is_raw || !context_.engine.can_summon(request.model_name))) return status;
  return decode_v2_http(body_.bytes(), header_length, model ? &model->spec() : nullptr, context_.pool,
                        context_.options.decode, request);
}

// The head lies in the same block as a body that was received behind it: then the request keeps both.
void HttpSession::name_model(Request& request) const {
  const V2Route& route = exchange_.route;
  const bool kept = request.body.get() == head_owner_.get();
  if (route.model.find('%') != std::string_view::npos) {
    request.model_name = request.text.emplace_back(percent_decoded(route.model));
  } else {
    request.model_name = kept ? route.model : request.text.emplace_back(route.model);
  }
  const bool versioned = !route.version.empty();
  request.model_version = kept || !versioned ? route.version : request.text.emplace_back(route.version);
}

void HttpSession::send_text(std::string text) {
  if (text.empty()) return;
  Outgoing outgoing;
  outgoing.message.text() = std::move(text);
  outgoing.message.end_text();
  stream_->send(std::move(outgoing));
}

std::size_t HttpSession::unsent_bytes() const {
  return stream_->unsent_bytes();
}

void HttpSession::refuse(const Status& status) {
  std::optional<Http1Field> hint;
  if (status.message() == kUnsupportedCoding) hint = {"Accept-Encoding", kAcceptedCodings};
  const bool openai = exchange_.framing.openai_errors;
  refuse(openai ? openai_status_of(status) : http_status_of(status.code()), status.message(), hint);
}

void HttpSession::refuse(int status, std::string_view message, std::optional<Http1Field> hint) {
  // Whether a client that waits for "100 Continue" sends its body now is not known; and a body may be so
  // large that a new connection is cheaper.
  const bool skip = body_.whole() || (!exchange_.expects_continue && body_.worth_skipping());
  exchange_.framing.keep_alive = exchange_.framing.keep_alive && skip && !leaving();
  tell(status);
  stream_->send(make_error_answer(status, message, exchange_.framing, hint));
  if (state_ == State::kEnded) return;
  if (!skip || body_.whole()) return finish();
  // Also before closing: data that nobody reads would make the kernel reset the connection, answer and all.
  state_ = State::kSkipping;
}

void HttpSession::refuse_and_close(int status, std::string_view message) {
  exchange_.framing.keep_alive = false;
  tell(status);
  stream_->send(make_error_answer(status, message, exchange_.framing));
  finish();
}

void HttpSession::finish() {
  if (state_ == State::kEnded) return;
  body_.reset();
  head_owner_ = {};
  generated_.reset();
  state_ = exchange_.framing.keep_alive ? State::kHead : State::kClosing;
  if (state_ == State::kClosing) stream_->close_after_sent();
}

void HttpSession::end() {
  if (state_ == State::kEnded) return;
  tell(kClientGone);
  state_ = State::kEnded;
  timer_.disarm();
  if (out_) context_.in_flight.abandon(*this);
  out_ = false;
  inflation_.cancel();
  deflation_.cancel();
  trace_.reset();
  sending_.reset();
  proxy_.close();
  unsent_.gone();
  stream_->close();
  body_.reset();
  context_.ended(*this);
}

}  // namespace naiad
