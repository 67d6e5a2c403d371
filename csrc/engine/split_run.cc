#include "engine/split_run.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/joined_response.h"
#include "execute/rows.h"
#include "request/response_window.h"

namespace naiad {

SplitRun::SplitRun(std::unique_ptr<Request> request, const Surroundings& around)
    : pool_(around.pool),
      pool_share_(around.pool.weak_from_this().lock()),
      clock_(around.clock),
      statistics_(around.statistics),
      request_(std::move(request)) {
  scope_.client = request_.get();
}

Status SplitRun::start(std::unique_ptr<Request>& request, Scheduler& scheduler, const Surroundings& around) {
  const auto run = std::make_shared<SplitRun>(std::move(request), around);
  return run->queue_all(request, scheduler);
}

Status SplitRun::queue_all(std::unique_ptr<Request>& refused, Scheduler& scheduler) {
  std::vector<std::unique_ptr<Request>> parts;
  try {
    parts = make_parts();
  } catch (const Error& error) {
    refused = std::move(request_);
    return {Code::kInvalidArgument, error.what()};
  }
  Lock lock(mutex_);
  self_ = shared_from_this();
  request_->timestamps.queued_ns = clock_.now_ns();
  responses_.resize(parts.size());
  num_to_come_ = parts.size() + 1;
  std::size_t num_queued = 0;
  while (num_queued < parts.size() && !scope_.cancelled()) {
    lock.unlock();
    Status status = scheduler.try_submit(parts[num_queued]);
    lock.lock();
    if (!status.ok()) {
      if (num_queued == 0) {
        refused = std::move(request_);
        self_.reset();  // the caller has a share
        return status;
      }
      fail(std::move(status), FailureReason::kRejected);
      break;
    }
    ++num_queued;
  }
  if (num_queued < parts.size()) {
    fail({Code::kCancelled, "Request was cancelled before it ran"}, FailureReason::kCanceled);
  }
  arrive(lock, parts.size() - num_queued + 1);
  return {};
}

std::vector<std::unique_ptr<Request>> SplitRun::make_parts() {
  const Request& whole = *request_;
  const std::uint32_t most = whole.spec->max_batch_size;
  std::vector<std::unique_ptr<Request>> parts;
  for (std::uint32_t done = 0; done < whole.num_rows; done += num_rows_.back()) {
    num_rows_.push_back(std::min(most, whole.num_rows - done));
    auto part = std::make_unique<Request>();
    part->is_part = true;
    part->model_name = whole.model_name;
    part->model_version = whole.model_version;
    part->id = whole.id;
    part->parameters = whole.parameters;
    part->priority = whole.priority;
    part->timeout_us = whole.timeout_us;
    part->deadline_ns = whole.deadline_ns;
    part->trace = whole.trace;
    part->trace_parent = whole.trace_parent;
    part->trace_state = whole.trace_state;
    part->spec = whole.spec;
    part->inputs.resize(whole.inputs.size());
    part->wanted = whole.wanted;
    part->num_rows = num_rows_.back();
    part->timestamps.received_ns = whole.timestamps.received_ns;
    part->scope = &scope_;
    part->call = whole.call;
    part->sink = this;
    part->tag = parts.size();
    parts.push_back(std::move(part));
  }
  for (std::size_t i = 0; i < whole.inputs.size(); ++i) {
    if (!whole.inputs[i].present()) continue;
    if (whole.spec->inputs[i].shape_values) {
      for (const auto& part : parts) part->inputs[i] = whole.inputs[i];
      continue;
    }
    RowCutter cutter(whole.inputs[i]);
    for (const auto& part : parts) part->inputs[i] = cutter.next(part->num_rows);
  }
  return parts;
}

void SplitRun::respond(const Request& request, Response response) noexcept {
  // Only decoupled models respond before the end; they are not split.
  if (request.window) request.window->taken(response.size_bytes());
}

void SplitRun::complete(std::unique_ptr<Request> request, Response response) noexcept {
  const auto self = shared_from_this();
  Lock lock(mutex_);
  Timestamps& marks = request_->timestamps;
  const std::uint64_t began_ns = request->timestamps.compute_start_ns;
  if (began_ns != 0 && (marks.compute_start_ns == 0 || began_ns < marks.compute_start_ns)) {
    marks.compute_start_ns = began_ns;
  }
  request_->computed.add(request->computed);
  if (!response.status.ok()) {
    const bool is_cancelled = response.status.code() == Code::kCancelled;
    const auto reason = is_cancelled    ? FailureReason::kCanceled
                        : began_ns == 0 ? FailureReason::kRejected
                                        : FailureReason::kBackend;
    fail(std::move(response.status), reason);
  } else {
    responses_[request->tag] = std::move(response);
  }
  request.reset();
  arrive(lock, 1);
}

void SplitRun::fail(Status status, FailureReason reason) {
  if (!failure_.ok()) return;
  failure_ = std::move(status);
  reason_ = reason;
  scope_.set.store(true, std::memory_order_relaxed);
}

void SplitRun::arrive(Lock& lock, std::size_t count) {
  num_to_come_ -= count;
  if (num_to_come_ == 0) end(lock);
}

void SplitRun::end(Lock& lock) {
  self_.reset();  // whoever called has a share
  std::unique_ptr<Request> request = std::move(request_);
  scope_.client = nullptr;
  lock.unlock();
  Response response;
  if (failure_.ok()) {
    response = join_responses(*request->spec, responses_, num_rows_, pool_);
    if (!response.status.ok()) fail(response.status, FailureReason::kBackend);
  } else {
    response.status = failure_;
  }
  responses_.clear();
  count(response.status, *request);
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
  lock.lock();
}

void SplitRun::count(const Status& status, const Request& request) {
  const std::uint64_t now_ns = clock_.now_ns();
  const std::uint64_t spent_ns = now_ns - request.timestamps.received_ns;
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    if (status.ok()) {
      values.success.add(1, spent_ns);
      distributions.add_answer(spent_ns, now_ns, request.trace.get());
      return;
    }
    values.fail.add(1, spent_ns);
    ++values.failures[static_cast<std::size_t>(reason_)];
  });
}

}  // namespace naiad
