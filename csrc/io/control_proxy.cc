#include "io/control_proxy.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "protocol/header_number.h"

namespace naiad {
namespace {

// What may wait for the client before the control plane's answer is left where it is.
constexpr std::size_t kMaxUnsentBytes = 256 << 10;
// Of an answer that is no answer but a request for the core: the bytes of its frame. Clients never see it.
constexpr std::string_view kFrameBytes = "Naiad-Text-Frame";
// Relayed in one piece at the most.
constexpr std::size_t kMaxPieceBytes = 64 << 10;

// What holds a request's body until it is sent.
struct BodyShare {
  BufferRef body;
};

// Counts the calls of a stream that are on the stack.
class Depth {
 public:
  explicit Depth(int& depth) : depth_(depth) { ++depth_; }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  int& depth_;
};

}  // namespace

ControlProxy::ControlProxy(EventLoop& loop, Bridge& bridge, TensorPool& pool, Client& client)
    : loop_(loop), bridge_(bridge), pool_(pool), client_(client) {}

ControlProxy::~ControlProxy() {
  close();
}

void ControlProxy::forward(ControlRequest request) {
  if (depth_ == 0) dropped_.clear();
  request_ = std::move(request);
  begun_ = false;
  reused_ = upstream_ != nullptr;
  send();
}

void ControlProxy::send() {
  state_ = State::kHead;
  scanned_ = 0;
  if (!upstream_) connect();
  if (!upstream_) return fail();
  Outgoing outgoing;
  outgoing.message.text() = request_.head;
  outgoing.message.append_view(request_.body);
  outgoing.message.end_text();
  if (request_.body_owner) outgoing.owner = std::make_shared<BodyShare>(BodyShare{request_.body_owner});
  upstream_->send(std::move(outgoing));
}

void ControlProxy::connect() {
  std::array<int, 2> ends{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) return;
  upstream_ = std::make_unique<Stream>(loop_, make_plain_transport(ends[0]), pool_,
                                       static_cast<Stream::User&>(*this));
  bridge_.push(ControlConnection{ends[1]});
  upstream_->start();
}

void ControlProxy::resume() {
  if (!upstream_ || state_ == State::kIdle) return;
  upstream_->resume();
  on_input();
}

void ControlProxy::close() {
  state_ = State::kIdle;
  drop();
  request_ = {};
  if (depth_ == 0) dropped_.clear();
}

void ControlProxy::drop() {
  if (!upstream_) return;
  upstream_->close();
  dropped_.push_back(std::move(upstream_));
}

void ControlProxy::on_input() {
  const Depth depth(depth_);
  const Stream* stream = upstream_.get();
  while (stream != nullptr && upstream_.get() == stream && !stream->input().empty()) {
    if (state_ == State::kIdle) return drop();  // nobody asked
    if (client_.unsent_bytes() > kMaxUnsentBytes) return upstream_->hold();
    if (!step()) break;
  }
}

bool ControlProxy::step() {
  return state_ == State::kHead ? read_head() : read_body();
}

bool ControlProxy::read_head() {
  const Http1Parsed parsed = parse_http1_response(upstream_->input(), limits_, head_, scanned_);
  if (parsed.outcome == Http1Outcome::kIncomplete) return false;
  // An upgrade was never asked for.
  if (parsed.outcome != Http1Outcome::kComplete || head_.status == 101) {
    fail();
    return false;
  }
  scanned_ = 0;
  if (head_.status < 200) {
    upstream_->consume(head_.size_bytes);
    return true;
  }
  frame_bytes_.reset();
  if (const auto bytes = head_.field(kFrameBytes)) {
    if (!read_frame_bytes(*bytes)) {
      fail();
      return false;
    }
  }
  begun_ = !frame_bytes_;
  framing_ = relay_framing(head_, request_.client);
  if (!frame_bytes_) append_relayed_head(out_, head_, framing_, request_.client);
  const bool no_body = framing_ == RelayFraming::kNone || head_.framing == BodyFraming::kNone;
  reusable_ = head_.keep_alive && (no_body || head_.framing != BodyFraming::kUntilClose);
  left_bytes_ = no_body ? 0 : head_.content_length;
  chunks_.reset();
  if (!no_body && head_.framing == BodyFraming::kChunked) chunks_.emplace(limits_);
  upstream_->consume(head_.size_bytes);
  state_ = State::kBody;
  const bool ends_here = no_body || (head_.framing == BodyFraming::kLength && left_bytes_ == 0);
  if (ends_here) {
    end_answer();
  } else if (upstream_->input().empty()) {
    flush();
  }
  return true;
}

bool ControlProxy::read_frame_bytes(std::string_view field) {
  frame_bytes_ = parse_header_number(field);
  return frame_bytes_ && head_.framing == BodyFraming::kLength && *frame_bytes_ <= head_.content_length;
}

bool ControlProxy::read_body() {
  const auto input = upstream_->input().first(std::min(upstream_->input().size(), kMaxPieceBytes));
  bool ended = false;
  std::size_t consumed = input.size();
  if (chunks_) {
    const ChunkedReader::Step step = chunks_->step(input);
    if (step.outcome != Http1Outcome::kIncomplete && step.outcome != Http1Outcome::kComplete) {
      fail();
      return false;
    }
    ended = step.outcome == Http1Outcome::kComplete;
    consumed = step.consumed_bytes;
    add_body(step.data);
  } else if (head_.framing == BodyFraming::kLength) {
    consumed = std::min(consumed, left_bytes_);
    add_body(input.first(consumed));
    left_bytes_ -= consumed;
    ended = left_bytes_ == 0;
  } else {
    add_body(input);
  }
  upstream_->consume(consumed);
  if (ended) {
    end_answer();
    return true;
  }
  if (consumed == 0 || upstream_->input().empty() || out_.size() >= kMaxPieceBytes) flush();
  return consumed > 0;
}

void ControlProxy::add_body(std::span<const std::byte> data) {
  if (data.empty()) return;
  const auto* bytes = reinterpret_cast<const char*>(data.data());
  if (framing_ != RelayFraming::kChunked) {
    out_.append(bytes, data.size());
    return;
  }
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), data.size(), 16).ptr;
  out_.append(size.data(), end).append("\r\n").append(bytes, data.size()).append("\r\n");
}

void ControlProxy::flush() {
  if (!out_.empty() && !frame_bytes_) client_.on_relayed(std::exchange(out_, {}));
}

void ControlProxy::end_answer() {
  if (framing_ == RelayFraming::kChunked) out_.append("0\r\n\r\n");
  state_ = State::kIdle;
  const bool keep_alive = request_.client.keep_alive;
  request_ = {};
  if (!reusable_) drop();
  if (frame_bytes_) {
    const std::size_t frame_bytes = *std::exchange(frame_bytes_, {});
    return client_.on_handed_over(std::exchange(out_, {}), frame_bytes);
  }
  flush();
  client_.on_relay_end(keep_alive);
}

void ControlProxy::fail() {
  state_ = State::kIdle;
  drop();
  request_ = {};
  out_.clear();
  client_.on_relay_failed(begun_);
}

void ControlProxy::on_gone() {
  const Depth depth(depth_);
  const bool nothing_came = state_ == State::kHead && scanned_ == 0;
  drop();
  if (state_ == State::kIdle) return;
  if (state_ == State::kBody && !chunks_ && head_.framing == BodyFraming::kUntilClose) return end_answer();
  // The server closed the kept connection while the request was on its way (RFC 9112, section 9.3.1).
  if (nothing_came && reused_ && request_.repeatable) {
    reused_ = false;
    return send();
  }
  fail();
}

}  // namespace naiad
