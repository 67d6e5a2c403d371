#include "schedule/dynamic_scheduler.h"

#include <algorithm>
#include <utility>

#include "schedule/drop_status.h"
#include "schedule/same_shape.h"

namespace naiad {
namespace {

BatchRules rules_of(const ModelSpec& model) {
  BatchRules rules;
  rules.max_rows = std::max(1U, model.max_batch_size);
  if (model.batching.dynamic) {
    rules.preferred_rows = model.batching.preferred_num_rows;
    rules.max_delay_ns = model.batching.max_queue_delay_ns;
  }
  if (rules.preferred_rows.empty()) rules.preferred_rows = {rules.max_rows};
  return rules;
}

}  // namespace

DynamicScheduler::DynamicScheduler(const ModelSpec& model, const Clock& clock)
    : model_(model), clock_(clock), rules_(rules_of(model)), queue_(model.max_queue_size) {}

Status DynamicScheduler::try_submit(std::unique_ptr<Request>& request) {
  request->timestamps.queued_ns = clock_.now_ns();
  request->deadline_ns = deadline_of(*request);
  return queue_.try_push(request);
}

std::optional<Batch> DynamicScheduler::next(std::size_t /*instance*/) {
  const std::lock_guard lock(former_);
  for (;;) {
    std::optional<std::uint64_t> wait_until_ns;
    if (auto batch = form(wait_until_ns)) return batch;
    const Parker::Ticket ticket = queue_.prepare_wait();
    if (auto batch = form(wait_until_ns)) {
      queue_.cancel_wait(ticket);
      return batch;
    }
    if (finished()) {
      queue_.cancel_wait(ticket);
      return std::nullopt;
    }
    queue_.wait(ticket, wait_until_ns);
  }
}

std::optional<Batch> DynamicScheduler::try_next() {
  const std::lock_guard lock(former_);
  std::optional<std::uint64_t> wait_until_ns;
  return form(wait_until_ns);
}

void DynamicScheduler::close(bool drain) {
  if (!drain) discard_.store(true, std::memory_order_seq_cst);
  queue_.close();
}

std::optional<Batch> DynamicScheduler::form(std::optional<std::uint64_t>& wait_until_ns) {
  wait_until_ns.reset();
  while (auto request = queue_.try_pop()) pending_.push_back(std::move(request));
  std::vector<DroppedRequest> dropped;
  const std::uint64_t now_ns = clock_.now_ns();
  const bool can_grow = look_ahead(now_ns, dropped);
  std::size_t count = std::min<std::size_t>(head_.size(), 1);
  if (model_.batching.dynamic) {
    const BatchDecision decision = decide_batch(rules_, head_, can_grow, now_ns);
    wait_until_ns = decision.wait_until_ns;
    count = decision.take;
    // Those at the head that expire while they wait for company are dropped in time.
    if (wait_until_ns && first_deadline_ns_ != 0)
      wait_until_ns = std::min(*wait_until_ns, first_deadline_ns_);
  }
  if (count == 0 && dropped.empty()) return std::nullopt;
  return take(count, std::move(dropped));
}

bool DynamicScheduler::look_ahead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped) {
  head_.clear();
  first_deadline_ns_ = 0;
  std::uint32_t num_rows = 0;
  const bool discard = discard_.load(std::memory_order_seq_cst);
  for (std::size_t i = 0; i < pending_.size() && num_rows < rules_.max_rows;) {
    const Request& request = *pending_[i];
    const bool gone = request.is_cancelled();
    if (discard || gone || (request.deadline_ns != 0 && now_ns >= request.deadline_ns)) {
      dropped.push_back({std::move(pending_[i]), discard ? unloaded_in_queue(model_)
                                                 : gone  ? cancelled_in_queue()
                                                         : expired_in_queue()});
      pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    if (request.num_rows > rules_.max_rows - num_rows || !batch_together(*pending_.front(), request)) {
      return false;
    }
    if (request.deadline_ns != 0 && (first_deadline_ns_ == 0 || request.deadline_ns < first_deadline_ns_)) {
      first_deadline_ns_ = request.deadline_ns;
    }
    num_rows += request.num_rows;
    head_.push_back({request.num_rows, request.timestamps.queued_ns});
    ++i;
  }
  // Once the queue is closed nothing more will come, so there is nothing to wait for.
  return !queue_.closed();
}

Batch DynamicScheduler::take(std::size_t count, std::vector<DroppedRequest> dropped) {
  Batch batch;
  batch.requests.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    batch.requests.push_back(std::move(pending_.front()));
    pending_.pop_front();
  }
  if (count != 0) num_taken_.fetch_add(1, std::memory_order_seq_cst);
  queue_.forget(count + dropped.size());
  batch.dropped = std::move(dropped);
  return batch;
}

bool DynamicScheduler::finished() const {
  return queue_.closed() && queue_.num_waiting() == 0;
}

}  // namespace naiad
