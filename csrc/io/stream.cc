#include "io/stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "io/stream_state.h"

namespace naiad {

Stream::Stream(EventLoop& loop, std::unique_ptr<Transport> transport, TensorPool& pool, User& user)
    : state_(std::make_unique<State>(*this, loop, std::move(transport), pool, user)) {}

Stream::~Stream() {
  state_->finish();
  if (state_->destroyed != nullptr) *state_->destroyed = true;
}

void Stream::start() {
  State& state = *state_;
  state.interest = state.wanted();
  state.loop.watch(state.transport->fd(), state.interest, *this);
  state.started = true;
  if (state.transport->may_hold_input()) state.continue_soon();  // from its handshake
}

void Stream::on_events(std::uint32_t events) {
  State& state = *state_;
  const bool ended = (events & kStreamEnding) != 0;
  if ((events & (state.write_wait | kStreamEnding)) != 0 && state.write_wait != 0) {
    state.write_wait = 0;
    state.flush();
    if (!state.settle(true)) return;
  }
  if (state.lingering) {
    state.discard(ended);
    if (!state.settle(true)) return;
  } else if (state.reads()) {
    const bool readable = (events & EPOLLIN) != 0 || (state.read_wants_write && (events & EPOLLOUT) != 0);
    if ((readable || ended) && !state.fill(ended)) return;
  } else if (ended) {
    state.gone_due = true;
    static_cast<void>(state.settle(true));
    return;
  }
  if (!state.receiving) state.input.trim();
  state.update_interest((events & EPOLLIN) != 0);
}

std::span<const std::byte> Stream::input() const {
  return state_->input.bytes();
}

BufferRef Stream::input_owner() const {
  return state_->input.owner();
}

void Stream::consume(std::size_t size_bytes) {
  state_->input.consume(size_bytes);
}

void Stream::receive_into(BufferRef block, std::size_t filled) {
  State& state = *state_;
  if (state.closed) return;
  const auto held = state.input.bytes();
  const std::size_t taken = std::min(held.size(), block->size_bytes() - filled);
  if (taken != 0) std::memcpy(block->data() + filled, held.data(), taken);
  state.input.consume(taken);
  state.filled = filled + taken;
  state.receiving = state.filled < block->size_bytes();
  if (state.receiving) {
    state.target = std::move(block);
    state.input.trim();
    return;
  }
  state.input_due = true;
  state.settle_outside();
}

bool Stream::receiving() const {
  return state_->receiving;
}

std::size_t Stream::received_bytes() const {
  return state_->filled + (state_->awaited > 1 && !state_->closed ? state_->transport->waiting_bytes() : 0);
}

void Stream::pause() {
  state_->paused = true;
}

void Stream::resume() {
  State& state = *state_;
  if (!std::exchange(state.paused, false) || state.closed) return;
  const bool was_held = std::exchange(state.held, false);
  if (was_held) start();
  if (!was_held && state.transport->may_hold_input()) state.continue_soon();
  if (!state.telling) state.update_interest(false);
}

void Stream::hold() {
  State& state = *state_;
  state.paused = true;
  if (state.closed || !std::exchange(state.started, false)) return;
  state.held = true;
  state.loop.forget(state.transport->fd());
}

void Stream::send(Outgoing outgoing) {
  State& state = *state_;
  if (state.closed || state.closing || state.gone_due) return;
  state.output.push(std::move(outgoing));
  state.flush();
  state.settle_outside();
}

std::size_t Stream::unsent_bytes() const {
  return state_->output.size_bytes();
}

void Stream::close_after_sent() {
  State& state = *state_;
  if (state.closed || std::exchange(state.closing, true)) return;
  state.receiving = false;
  state.target = {};
  state.await();
  if (state.gone_due) return;
  if (state.output.empty()) state.linger();
  state.settle_outside();
}

void Stream::close() {
  state_->finish();
}

bool Stream::closed() const {
  return state_->closed;
}

}  // namespace naiad
