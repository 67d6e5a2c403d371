#include "execute/response_sender.h"

#include <string>
#include <utility>

#include "execute/rows.h"
#include "request/response_window.h"

namespace naiad {
namespace {

// What the client wants of a response, in the client's shapes.
void dress(const Request& request, Response& response) {
  std::erase_if(response.outputs, [&](const OutputTensor& output) { return !request.wanted[output.index]; });
  for (OutputTensor& output : response.outputs) {
    const TensorSpec& spec = request.spec->outputs[output.index];
    if (spec.reshape) output.tensor.shape = undo_reshape(spec, output.tensor.shape, request.spec->batches());
  }
}

}  // namespace

BufferRef allocate_output(TensorPool& pool, std::size_t size_bytes) {
  BufferRef block = pool.try_allocate(size_bytes);
  if (!block) {
    throw Error(Code::kUnavailable,
                "the tensor pool has no room for " + std::to_string(size_bytes) + " bytes; try again later");
  }
  return block;
}

ResponseSender::ResponseSender(std::unique_ptr<Request> request, TensorPool& pool, const Clock& clock,
                               std::shared_ptr<ResponseObserver> observer)
    : model_(request->spec),
      pool_(pool),
      pool_share_(pool.weak_from_this().lock()),
      clock_(clock),
      observer_(std::move(observer)),
      request_(std::move(request)),
      mark_ns_(request_->timestamps.compute_start_ns) {
  if (model_->decoupled && !request_->window) request_->window = std::make_shared<ResponseWindow>();
}

ResponseSender::~ResponseSender() {
  const std::lock_guard sending(sending_);
  give_up("let go of the request before its last response");
}

void ResponseSender::abandon() {
  {
    const std::lock_guard lock(mutex_);
    if (request_) request_->cancelled.store(true, std::memory_order_relaxed);
  }
  const std::lock_guard sending(sending_);
  give_up("was unloaded before its last response");
}

void ResponseSender::give_up(const std::string& why) {
  if (!request_) return;
  Response response;
  if (held_) {
    response = std::move(*held_);
  } else {
    response.status = {Code::kInternal, "model '" + model_->name + "' " + why};
  }
  give(std::move(response), true);
}

bool ResponseSender::cancelled() const {
  const std::lock_guard lock(mutex_);
  return request_ ? request_->is_cancelled() : was_cancelled_;
}

Status ResponseSender::send(Response response, bool is_last) {
  return send_waiting(std::move(response), is_last, true);
}

Status ResponseSender::send_now(Response response, bool is_last) {
  return send_waiting(std::move(response), is_last, false);
}

std::shared_ptr<ResponseWindow> ResponseSender::window() const {
  const std::lock_guard lock(mutex_);
  return request_ ? request_->window : nullptr;
}

Status ResponseSender::send_waiting(Response response, bool is_last, bool waits) {
  const std::lock_guard sending(sending_);
  if (!request_) return ended();
  if (response.status.ok()) dress(*request_, response);
  if (model_->decoupled) {
    if (!is_last && waits) request_->window->wait(*request_);
    give(std::move(response), is_last);
    return {};
  }
  if (held_) {
    return {Code::kInvalidArgument, "model '" + model_->name +
                                        "' is using the default transaction policy: one response for each "
                                        "request, got a second one"};
  }
  held_ = std::move(response);
  if (is_last) give(std::move(*held_), true);
  return {};
}

Status ResponseSender::finish() {
  const std::lock_guard sending(sending_);
  if (!request_) return ended();
  Response response;
  if (held_) {
    response = std::move(*held_);
  } else if (model_->decoupled) {
    response.is_empty = true;
  } else {
    response.status = {Code::kInternal, "model '" + model_->name + "' gave no response to the request"};
  }
  give(std::move(response), true);
  return {};
}

void ResponseSender::give(Response response, bool is_last) {
  const std::uint64_t now_ns = clock_.now_ns();
  if (observer_) {
    observer_->responded({request_->num_responses, now_ns - mark_ns_, response.status.code(),
                          response.is_empty, is_last, request_->timestamps.received_ns, request_->is_part,
                          request_->trace.get()});
  }
  ++request_->num_responses;
  mark_ns_ = now_ns;
  CompletionSink* const sink = request_->sink;
  if (!is_last) {
    request_->window->sent(response.size_bytes());
    sink->respond(*request_, std::move(response));
    return;
  }
  sink->complete(let_go(), std::move(response));
}

std::unique_ptr<Request> ResponseSender::let_go() {
  const std::lock_guard lock(mutex_);
  was_cancelled_ = request_->is_cancelled();
  return std::move(request_);
}

Status ResponseSender::reschedule() {
  const std::lock_guard sending(sending_);
  if (!request_) return ended();
  Response response;
  response.reschedule = true;
  CompletionSink* const sink = request_->sink;
  sink->complete(let_go(), std::move(response));
  return {};
}

Status ResponseSender::ended() {
  return {Code::kInvalidArgument, "Unable to send response. Response sender has been closed."};
}

}  // namespace naiad
