#include <algorithm>

#include "io/http_session.h"

namespace naiad {

// One timer for whatever is awaited. A request changes what is awaited several times, so that the timer is
// only armed anew when it would be due too late, and looks at the deadline when it is due.
void HttpSession::await() {
  Awaited next = Awaited::kNothing;
  std::uint64_t delay_ns = context_.options.stall_timeout_ns;
  const std::size_t unsent = stream_->unsent_bytes();
  if (unsent > 0 || state_ == State::kClosing) {
    next = Awaited::kOutput;
  } else if (state_ == State::kBody || state_ == State::kSkipping) {
    next = Awaited::kInput;
  } else if (state_ == State::kHead) {
    const bool begun = !stream_->input().empty();
    next = begun ? Awaited::kHead : Awaited::kRequest;
    delay_ns = begun ? context_.options.header_timeout_ns : idle_ns();
  }
  // A head has one deadline, however often a byte of it comes; output has a new one when some has left; a
  // body, when enough of it has come in its time.
  const bool same = next == awaited_;
  awaited_ = next;
  if (next == Awaited::kNothing) return;
  if (same && (next == Awaited::kHead || next == Awaited::kInput)) return;
  if (same && next == Awaited::kOutput && unsent == last_moved_) return;
  last_moved_ = next == Awaited::kOutput ? unsent : stream_->received_bytes();
  deadline_ns_ = context_.loop.now_ns() + delay_ns;
  if (armed_ns_ != 0 && armed_ns_ <= deadline_ns_) return;
  armed_ns_ = deadline_ns_;
  timer_.arm(delay_ns);
}

std::uint64_t HttpSession::idle_ns() const {
  const DataPlaneOptions& options = context_.options;
  // The client may be about to ask: what it sends now must not meet a closed connection.
  if (draining_) return std::min(options.idle_timeout_ns, options.last_call_ns);
  return proxy_.is_connected() ? std::min(options.idle_timeout_ns, options.control_idle_ns)
                               : options.idle_timeout_ns;
}

void HttpSession::on_due() {
  armed_ns_ = 0;
  if (state_ == State::kEnded || awaited_ == Awaited::kNothing) return;
  const std::uint64_t now_ns = context_.loop.now_ns();
  if (awaited_ == Awaited::kInput || awaited_ == Awaited::kOutput) {
    // Bytes that the stream moves on its own are not told of one by one.
    const bool output = awaited_ == Awaited::kOutput;
    const std::size_t moved = output ? stream_->unsent_bytes() : stream_->received_bytes();
    const std::size_t enough =
        std::max<std::size_t>(1, context_.least_bytes(context_.options.stall_timeout_ns));
    if (output ? moved != last_moved_ : moved - last_moved_ >= enough) {
      last_moved_ = moved;
      deadline_ns_ = now_ns + context_.options.stall_timeout_ns;
    }
  }
  if (now_ns < deadline_ns_) {
    armed_ns_ = deadline_ns_;
    return timer_.arm(deadline_ns_ - now_ns);
  }
  if (awaited_ == Awaited::kRequest && proxy_.is_connected() && !draining_) {
    // It costs as much as the client's own connection, and far more where many are idle.
    const std::uint64_t waited_ns = idle_ns();
    proxy_.close();
    const std::uint64_t left_ns = idle_ns() - waited_ns;
    if (left_ns > 0) {
      deadline_ns_ = armed_ns_ = now_ns + left_ns;
      return timer_.arm(left_ns);
    }
  }
  if (awaited_ == Awaited::kHead) {
    exchange_ = {};
    exchange_.told = false;
    head_ = {};
    begun_ns_ = now_ns;
    refuse_and_close(408, "request head was not received in time");
    advance();
  } else if (awaited_ == Awaited::kInput && state_ == State::kBody) {
    refuse_and_close(408, "request body was not received in time");
    advance();
  } else {
    end();
  }
}

}  // namespace naiad
