#include "engine/ensemble_scheduler.h"

#include <string>
#include <utility>

#include "engine/wall_clock.h"

namespace naiad {

EnsembleScheduler::EnsembleScheduler(const ModelSpec& model, EnsemblePlan plan, EnsembleRun::Models models,
                                     const Clock& clock, std::shared_ptr<Statistics> statistics)
    : model_(model),
      plan_(std::move(plan)),
      order_(plan_),
      models_(std::move(models)),
      clock_(clock),
      statistics_(std::move(statistics)) {}

Status EnsembleScheduler::try_submit(std::unique_ptr<Request>& request) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) {
      return {Code::kUnavailable,
              "Server is stopping, scheduler for model has stopped accepting new inference requests"};
    }
    if (num_running_ >= model_.max_queue_size) return {Code::kUnavailable, "Exceeds maximum queue size"};
    ++num_running_;
  }
  request->timestamps.queued_ns = clock_.now_ns();
  auto ended = [this](const EnsembleRun::Outcome& outcome) { this->ended(outcome); };
  std::make_shared<EnsembleRun>(plan_, order_, models_, clock_, std::move(ended), std::move(request))
      ->start();
  return {};
}

void EnsembleScheduler::close(bool /*drain*/) {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void EnsembleScheduler::wait_ended() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return num_running_ == 0; });
}

void EnsembleScheduler::ended(const EnsembleRun::Outcome& outcome) {
  const std::uint64_t now_ns = clock_.now_ns();
  const std::uint64_t spent_ns = now_ns - outcome.received_ns;
  const std::uint64_t now_ms = wall_clock_ms();
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    if (!outcome.status.ok()) {
      values.fail.add(1, spent_ns);
      ++values.failures[static_cast<std::size_t>(
          outcome.status.code() == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kOther)];
      return;
    }
    values.last_inference_ms = now_ms;
    values.last_used_ns = now_ns;
    values.inference_count += outcome.num_rows;
    ++values.execution_count;
    values.success.add(1, spent_ns);
    values.queue.add(1, outcome.queue_ns);
    distributions.add_answer(spent_ns, now_ns, outcome.trace);
    distributions.add_queue(outcome.queue_ns, now_ns, outcome.trace);
    add_execution(values, distributions, outcome.num_rows, 1, outcome.computed, now_ns, outcome.trace);
  });
  // With the lock: whoever waits may destroy this as soon as it is let go.
  const std::lock_guard lock(mutex_);
  if (--num_running_ == 0) idle_.notify_all();
}

}  // namespace naiad
