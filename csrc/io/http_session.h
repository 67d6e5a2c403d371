#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/control_proxy.h"
#include "io/http_answer.h"
#include "io/http_body.h"
#include "io/inflation.h"
#include "io/model_answer.h"
#include "io/session.h"
#include "io/unsent_responses.h"
#include "protocol/content_coding.h"
#include "protocol/http1.h"
#include "protocol/v2_route.h"

namespace naiad {

// An HTTP/1.1 connection: inference is decoded, submitted and answered here, any other request goes to the
// control plane. One request at a time; the next one waits in the stream, so that answers are in order.
class HttpSession final : public Session,
                          private Stream::User,
                          private InFlight::Taker,
                          private ControlProxy::Client {
 public:
  HttpSession(SessionContext& context, std::unique_ptr<Transport> transport);
  ~HttpSession() override;

  void drain() override;
  bool idle() const override;

 private:
  enum class State : unsigned char {
    kHead,       // a request is awaited
    kBody,       // its head has been read
    kAnswering,  // a model or the control plane has it
    kSkipping,   // it is answered; the rest of its body passes by
    kClosing,    // the last answer is being sent
    kEnded,
  };
  enum class Awaited : unsigned char { kNothing, kRequest, kHead, kInput, kOutput };

  // What the head of the present request came to.
  struct Exchange {
    AnswerFraming framing;
    V2Route route;
    Asked asked;
    std::string key_name;   // "" without a key
    bool told = true;       // its status has been counted
    bool infer = false;     // one that a model answers
    bool generate = false;  // one that may be answered many times
    bool expects_continue = false;
    ContentCoding coding = ContentCoding::kIdentity;
    ContentCoding answer_coding = ContentCoding::kIdentity;
  };

  void on_input() override;
  void on_sent() override;
  void on_gone() override;
  void on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) override;
  void on_response(std::uint64_t mark, const Request& request, Response response) override;
  void on_relayed(std::string bytes) override;
  void on_relay_end(bool keep_alive) override;
  void on_handed_over(std::string message, std::size_t frame_bytes) override;
  void on_relay_failed(bool begun) override;
  std::size_t unsent_bytes() const override;

  // Does all that can be done now.
  void advance();
  bool step();
  bool read_head();
  void begin();
  // Whether who asks may; otherwise it is refused.
  bool admit();
  Status begin_infer();
  void take(HttpBody::Progress progress);
  void infer();
  void submit_or_refuse();
  Status submit();
  Status submit(std::string message, std::size_t frame_bytes);
  // Of a request that has been decoded.
  Status send_in(std::unique_ptr<Request> request);
  // Of a request that can be decoded only when its model is there: has it loaded, and waits for that.
  Status await_model(std::unique_ptr<Request> request);
  Status decode(Request& request);
  void start_trace(Request& request);
  void answer(std::unique_ptr<Request> request, Response response);
  void send_answer(const Status& status, Outgoing outgoing);
  // The answer is about to be sent.
  void trace_answer();
  void send_text(std::string text);
  void name_model(Request& request) const;
  void forward();

  // Answers with an error and goes on behind the request.
  void refuse(int status, std::string_view message, std::optional<Http1Field> hint = {});
  void refuse(const Status& status);
  // An error after which the connection is of no more use.
  void refuse_and_close(int status, std::string_view message);
  // Counts and logs the status of an answer, once for each request.
  void tell(int status);
  void finish();
  void end();

  void await();
  // Whether the client is told, with each answer, that the connection ends behind it.
  bool leaving() const { return draining_ || context_.stopping.load(std::memory_order_relaxed); }
  // How long no request may come before something is done.
  std::uint64_t idle_ns() const;
  void on_due();

  // The marks of requests that are in flight.
  static constexpr std::uint64_t kInference = 0;
  static constexpr std::uint64_t kAwaitsModel = 1;
  // Of answers that the client does not take, before its next request is looked at.
  static constexpr std::size_t kMaxUnsentBytes = 256 << 10;

  SessionContext& context_;
  HttpBody body_;
  Inflation inflation_;
  CodingThread::Job deflation_;
  ControlProxy proxy_;
  EventLoop::Timer timer_;
  State state_ = State::kHead;
  bool advancing_ = false;
  bool draining_ = false;
  bool paused_ = false;
  bool out_ = false;  // a request is in flight

  Http1Limits limits_;
  Http1Head head_;  // of the present request: views into what head_owner_ keeps
  BufferRef head_owner_;
  std::size_t scanned_ = 0;
  Exchange exchange_;
  std::unique_ptr<ModelAnswer> generated_;
  std::string peer_;                // for the access log alone
  ClientNetwork client_ = 0;        // for the gate alone
  std::uint64_t begun_ns_ = 0;      // when the present request's head had come
  std::shared_ptr<Trace> trace_;    // of the present request; null: it is not traced
  std::shared_ptr<Trace> sending_;  // of the one whose answer is on its way out
  UnsentResponses unsent_;

  Awaited awaited_ = Awaited::kNothing;
  std::uint64_t deadline_ns_ = 0;  // of what is awaited
  std::uint64_t armed_ns_ = 0;     // when the timer is due; 0: it is not armed
  std::size_t last_moved_ = 0;     // received or unsent bytes when the deadline was set

  std::unique_ptr<Stream> stream_;
};

// I/O thread.
std::unique_ptr<Session> make_http_session(SessionContext& context, std::unique_ptr<Transport> transport);

}  // namespace naiad
