// The calls that the model of a worker makes: the part of WorkerLife that the other direction needs.

#include <utility>

#include "execute/worker_life.h"
#include "request/response_window.h"

namespace naiad {

void WorkerLife::handle_call(MessageReader& message) {
  const auto number = message.get<std::uint64_t>();
  const bool waits = message.get_bool();
  const bool takes_many = message.get_bool();
  auto request = std::make_unique<Request>();
  read_call(message, *request, [&](const TensorPlace& at, std::size_t size) { return find(at, size); });
  request->sink = this;
  request->tag = number;
  {
    const std::lock_guard lock(calls_mutex_);
    if (!calls_.emplace(number, Call{request.get(), false, shared_from_this()}).second) {
      MessageReader::malformed();
    }
  }
  Status status = host_.submit(request, waits ? instance_ : 0, takes_many);
  if (status.ok()) return;
  {
    const std::lock_guard lock(calls_mutex_);
    calls_.erase(number);
  }
  Response response;
  response.status = std::move(status);
  answer(number, nullptr, response, true, true);
}

void WorkerLife::respond(const Request& request, Response response) noexcept {
  answer(request.tag, request.spec.get(), response, false, false);
}

void WorkerLife::complete(std::unique_ptr<Request> request, Response response) noexcept {
  const std::shared_ptr<WorkerLife> self = shared_from_this();
  answer(request->tag, request->spec.get(), response, true, false);
  const std::lock_guard lock(calls_mutex_);
  calls_.erase(request->tag);
}

void WorkerLife::answer(std::uint64_t number, const ModelSpec* spec, const Response& response, bool is_last,
                        bool is_refused) {
  bool with_names = false;
  if (spec != nullptr) {
    const std::lock_guard lock(calls_mutex_);
    const auto found = calls_.find(number);
    if (found != calls_.end()) with_names = !std::exchange(found->second.has_names, true);
  }
  MessageWriter message;
  const auto begin = [&] {
    message.clear();
    message.put(WorkerNews::kAnswer);
    message.put(number);
    message.put(static_cast<std::uint8_t>(is_last));
    message.put(static_cast<std::uint8_t>(is_refused));
    message.put(static_cast<std::uint32_t>(with_names ? spec->outputs.size() : 0));
    for (std::size_t i = 0; with_names && i < spec->outputs.size(); ++i) message.put(spec->outputs[i].name);
  };
  begin();
  try {
    write_response(message, response, [&](const Tensor& tensor) {
      std::vector<BufferRef> held;
      TensorPlace at = place(tensor, held);
      at.slot = answers_.hold(held.empty() ? BufferRef() : std::move(held.front()));
      return at;
    });
  } catch (const Error& error) {
    begin();
    Response failed;
    failed.status = error.status();
    write_response(message, failed, [](const Tensor&) { return TensorPlace(); });
  }
  send_news(std::move(message));
}

void WorkerLife::send_news(MessageWriter message) {
  {
    const std::lock_guard lock(news_mutex_);
    if (unsent_.empty() && channel().news().try_write(message.bytes())) return;
    unsent_.push_back(std::move(message));
  }
  event_.signal();
}

}  // namespace naiad
