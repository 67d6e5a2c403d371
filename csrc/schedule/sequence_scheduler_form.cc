// How an instance forms its batch of what its slots hold: the other half is sequence_scheduler.cc.

#include <algorithm>
#include <utility>

#include "schedule/drop_status.h"
#include "schedule/same_shape.h"
#include "schedule/sequence_scheduler.h"

namespace naiad {
namespace {

void keep_earlier(std::optional<std::uint64_t>& earliest, std::uint64_t time_ns) {
  if (!earliest || time_ns < *earliest) earliest = time_ns;
}

Status lost_sequence() {
  return {Code::kUnavailable, "timeout of the corresponding sequence has been expired"};
}

}  // namespace

std::optional<Batch> SequenceScheduler::form(std::size_t instance,
                                             std::optional<std::uint64_t>& wait_until_ns) {
  Instance& own = *instances_[instance];
  const std::uint64_t now_ns = clock_.now_ns();
  tidy(own, now_ns, wait_until_ns);
  tidy_backlog(own, now_ns, wait_until_ns);
  fill_slots();
  std::optional<Batch> batch =
      spec_.direct ? form_direct(own, now_ns, wait_until_ns) : form_oldest(own, now_ns, wait_until_ns);
  if (!own.dropped.empty()) {
    if (!batch) batch.emplace();
    num_waiting_.fetch_sub(own.dropped.size(), std::memory_order_relaxed);
    batch->dropped = std::exchange(own.dropped, {});
  }
  if (batch && closed_ && num_waiting() == 0) wake_all();
  return batch;
}

void SequenceScheduler::tidy(Instance& instance, std::uint64_t now_ns,
                             std::optional<std::uint64_t>& wait_until_ns) {
  for (std::size_t i = 0; i < instance.slots.size(); ++i) {
    const Shared sequence = instance.slots[i];
    if (sequence == nullptr) continue;
    if (sequence->is_idle()) {
      if (is_stale(*sequence, now_ns)) {
        sequence->ended = true;
        release_if_over(sequence);
      } else {
        keep_earlier(wait_until_ns, sequence->last_active_ns + spec_.max_idle_ns);
      }
    } else if (discard_) {
      end(sequence, unloaded_in_queue(model_), instance);
    } else if (!sequence->waiting.empty() && sequence->waiting.front()->is_cancelled()) {
      end(sequence, cancelled_in_queue(), instance);
    } else if (sequence->due_ns != 0) {
      if (now_ns >= sequence->due_ns) {
        end(sequence, lost_sequence(), instance);
      } else {
        keep_earlier(wait_until_ns, sequence->due_ns);
      }
    }
  }
}

void SequenceScheduler::tidy_backlog(Instance& instance, std::uint64_t now_ns,
                                     std::optional<std::uint64_t>& wait_until_ns) {
  if (discard_ || (backlog_due_ns_ != 0 && now_ns >= backlog_due_ns_)) {
    backlog_due_ns_ = 0;
    for (const Shared& sequence : std::deque<Shared>(backlog_)) {
      if (discard_) {
        end(sequence, unloaded_in_queue(model_), instance);
      } else if (sequence->due_ns != 0 && now_ns >= sequence->due_ns) {
        end(sequence, lost_sequence(), instance);
      } else if (sequence->due_ns != 0 && (backlog_due_ns_ == 0 || sequence->due_ns < backlog_due_ns_)) {
        backlog_due_ns_ = sequence->due_ns;
      }
    }
  }
  if (backlog_due_ns_ != 0) keep_earlier(wait_until_ns, backlog_due_ns_);
}

std::optional<Batch> SequenceScheduler::form_direct(Instance& instance, std::uint64_t now_ns,
                                                    std::optional<std::uint64_t>& wait_until_ns) {
  std::size_t num_rows = 0;  // up to the last slot that is ready
  std::size_t num_ready = 0;
  const Request* oldest = nullptr;
  for (std::size_t i = 0; i < instance.slots.size(); ++i) {
    const Shared& sequence = instance.slots[i];
    if (sequence == nullptr || !sequence->is_ready()) continue;
    num_rows = i + 1;
    ++num_ready;
    Request& request = *sequence->waiting.front();
    inputs_.fill(*sequence, request);
    if (oldest == nullptr || request.timestamps.queued_ns < oldest->timestamps.queued_ns) oldest = &request;
  }
  if (oldest == nullptr) return std::nullopt;
  const std::uint64_t due_ns = oldest->timestamps.queued_ns + spec_.max_queue_delay_ns;
  const float utilization = static_cast<float>(num_ready) / static_cast<float>(instance.slots.size());
  if (utilization < spec_.min_slot_utilization && now_ns < due_ns && !closed_) {
    keep_earlier(wait_until_ns, due_ns);
    return std::nullopt;
  }
  Batch batch;
  batch.requests.reserve(num_rows);
  for (std::size_t i = 0; i < num_rows; ++i) {
    const Shared& sequence = instance.slots[i];
    // Who has another shape comes with the next batch.
    if (sequence != nullptr && sequence->is_ready() && batch_together(*oldest, *sequence->waiting.front())) {
      batch.requests.push_back(take(sequence));
    } else {
      batch.requests.push_back(inputs_.filler(*oldest));
      batch.requests.back()->sink = this;
    }
  }
  return batch;
}

std::optional<Batch> SequenceScheduler::form_oldest(Instance& instance, std::uint64_t now_ns,
                                                    std::optional<std::uint64_t>& wait_until_ns) {
  std::vector<Shared> ready;
  for (const Shared& sequence : instance.slots) {
    if (sequence == nullptr || !sequence->is_ready()) continue;
    inputs_.fill(*sequence, *sequence->waiting.front());
    ready.push_back(sequence);
  }
  if (ready.empty()) return std::nullopt;
  std::ranges::sort(ready, {}, [](const Shared& sequence) {
    return std::pair(sequence->waiting.front()->timestamps.queued_ns, sequence->slot);
  });
  std::vector<WaitingRequest> head;
  bool can_grow = !closed_ && ready.size() < instance.slots.size();
  for (const Shared& sequence : ready) {
    if (head.size() == rules_.max_rows) break;
    const Request& request = *sequence->waiting.front();
    if (!batch_together(*ready.front()->waiting.front(), request)) {
      can_grow = false;
      break;
    }
    head.push_back({request.num_rows, request.timestamps.queued_ns});
  }
  const BatchDecision decision = decide_batch(rules_, head, can_grow, now_ns);
  if (decision.wait_until_ns) keep_earlier(wait_until_ns, *decision.wait_until_ns);
  if (decision.take == 0) return std::nullopt;
  Batch batch;
  batch.requests.reserve(decision.take);
  for (std::size_t i = 0; i < decision.take; ++i) batch.requests.push_back(take(ready[i]));
  return batch;
}

std::unique_ptr<Request> SequenceScheduler::take(const Shared& sequence) {
  std::unique_ptr<Request> request = std::move(sequence->waiting.front());
  sequence->waiting.pop_front();
  sequence->in_flight = true;
  if (sequence->due_ns != 0) sequence->find_due();
  in_flight_.emplace(request.get(), sequence);
  request->pass_by(this);
  num_waiting_.fetch_sub(1, std::memory_order_relaxed);
  return request;
}

}  // namespace naiad
