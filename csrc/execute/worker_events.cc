// What a worker has to say: the part of WorkerLife that reads it.

#include <utility>

#include "execute/worker_life.h"
#include "request/response_window.h"

namespace naiad {

WorkerLife::News WorkerLife::take_events(std::size_t most) {
  event_.reset();
  for (; most > 0; --most) {
    const SharedRing::Outcome outcome = channel().events().read(event_message_, 0);
    if (outcome == SharedRing::Outcome::kBroken) MessageReader::malformed();
    if (outcome != SharedRing::Outcome::kMessage) return News::kNone;
    if (const News news = handle(event_message_); news != News::kNone) return news;
  }
  return News::kNone;
}

WorkerLife::News WorkerLife::handle(std::span<const std::byte> message) {
  MessageReader reader(message);
  switch (static_cast<WorkerEvent>(reader.get<std::uint8_t>())) {
    case WorkerEvent::kReady:
      return News::kReady;
    case WorkerEvent::kFailed: {
      const auto code = reader.get<std::uint8_t>();
      if (code == 0 || code > static_cast<std::uint8_t>(Code::kUnknown)) MessageReader::malformed();
      failure_ = {static_cast<Code>(code), std::string(reader.get_text())};
      return News::kFailed;
    }
    case WorkerEvent::kResponse:
      handle_response(reader);
      return News::kNone;
    case WorkerEvent::kCall:
      handle_call(reader);
      return News::kNone;
    case WorkerEvent::kCallCancel: {
      const auto number = reader.get<std::uint64_t>();
      const std::lock_guard lock(calls_mutex_);
      const auto found = calls_.find(number);
      if (found != calls_.end()) found->second.request->cancelled.store(true, std::memory_order_relaxed);
      return News::kNone;
    }
    case WorkerEvent::kCallTaken: {
      const auto number = reader.get<std::uint64_t>();
      const auto size_bytes = reader.get<std::uint64_t>();
      std::shared_ptr<ResponseWindow> window;
      {
        const std::lock_guard lock(calls_mutex_);
        const auto found = calls_.find(number);
        if (found != calls_.end()) window = found->second.request->window;
      }
      if (window) window->taken(static_cast<std::size_t>(size_bytes));
      return News::kNone;
    }
    case WorkerEvent::kAsk: {
      const auto number = reader.get<std::uint64_t>();
      host_.ask(std::string(reader.get_text()), [weak = weak_from_this(), number](const std::string& told) {
        const auto life = weak.lock();
        if (life == nullptr || number == 0) return;
        MessageWriter answer;
        answer.put(WorkerNews::kTold);
        answer.put(number);
        answer.put(told);
        life->send_news(std::move(answer));
      });
      return News::kNone;
    }
  }
  MessageReader::malformed();
}

void WorkerLife::handle_response(MessageReader& message) {
  const auto number = message.get<std::uint32_t>();
  const bool is_last = message.get_bool();
  Response response = read_response(message, model_.outputs.size(),
                                    [&](const TensorPlace& at, std::size_t size) { return find(at, size); });
  if (!is_right_type(response)) MessageReader::malformed();
  std::shared_ptr<ResponseSender> sender;
  {
    const std::lock_guard lock(mutex_);
    if (number >= slots_.size()) MessageReader::malformed();
    Slot& slot = slots_[number];
    if (slot.state == State::kInBatch && execution_ != nullptr) keep(slot, number);
    if (slot.state != State::kKept) MessageReader::malformed();
    sender = is_last ? let_go(slot) : slot.sender;
  }
  Status status;
  if (response.reschedule) {
    status = sender->reschedule();
  } else if (response.is_empty) {
    status = sender->finish();
  } else {
    status = sender->send_now(std::move(response), is_last);
  }
  if (!status.ok()) MessageReader::malformed();  // the worker's own sender has seen to what may be sent
}

}  // namespace naiad
