#include "schedule/sequence_scheduler.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

#include "queue/request_queue.h"
#include "schedule/drop_status.h"

namespace naiad {
namespace {

BatchRules rules_of(const ModelSpec& model) {
  const SequenceSpec& spec = *model.sequence;
  BatchRules rules;
  rules.max_rows = std::max(1U, model.max_batch_size);
  rules.preferred_rows = spec.preferred_num_rows;
  if (rules.preferred_rows.empty()) rules.preferred_rows = {rules.max_rows};
  rules.max_delay_ns = spec.max_queue_delay_ns;
  return rules;
}

std::size_t slots_of(const ModelSpec& model) {
  const SequenceSpec& spec = *model.sequence;
  if (!spec.direct && spec.max_candidates != 0) return spec.max_candidates;
  return std::max(1U, model.max_batch_size);
}

std::chrono::steady_clock::time_point time_of(std::uint64_t time_ns) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::nanoseconds(time_ns)));
}

}  // namespace

SequenceScheduler::SequenceScheduler(const ModelSpec& model, const Clock& clock, std::size_t num_instances)
    : model_(model),
      spec_(*model.sequence),
      clock_(clock),
      rules_(rules_of(model)),
      slots_per_instance_(slots_of(model)),
      inputs_(model),
      order_(spec_.preserve_ordering ? std::make_unique<ResponseOrder>() : nullptr) {
  for (std::size_t i = 0; i < std::max<std::size_t>(1, num_instances); ++i) {
    instances_.push_back(std::make_unique<Instance>());
    instances_.back()->slots.resize(slots_per_instance_);
  }
}

Status SequenceScheduler::try_submit(std::unique_ptr<Request>& request) {
  SequenceKey key = SequenceKey::of(*request);
  const std::string of_model = " to model '" + model_.name + "' must specify ";
  if (key.empty() && !spec_.iterative) {
    return {Code::kInvalidArgument,
            "inference request" + of_model + "a non-zero or non-empty correlation ID"};
  }
  if (request->num_rows != 1) {
    return {Code::kInvalidArgument,
            "inference request" + of_model + "batch-size 1 due to requirements of sequence batcher"};
  }
  if (Status status = inputs_.check_key(key); !status.ok()) return status;

  const std::lock_guard lock(mutex_);
  if (closed_) return queue_closed();
  if (num_waiting_.load(std::memory_order_relaxed) >= model_.max_queue_size) return queue_full();
  const std::uint64_t now_ns = clock_.now_ns();
  const bool iterates = key.empty();
  if (iterates) {
    do {
      key.id = ++num_made_;
    } while (sequences_.contains(key));
    request->sequence_id = key.id;
    request->sequence_start = true;
  }

  Shared sequence;
  if (const auto known = sequences_.find(key); known != sequences_.end()) {
    sequence = known->second;
    if (is_stale(*sequence, now_ns)) {
      sequence->ended = true;
      release_if_over(sequence);
      sequence.reset();
    }
  }
  if (!request->sequence_start && (!sequence || sequence->ended)) {
    return {Code::kInvalidArgument, "inference request for sequence " + key.text() + of_model +
                                        "the START flag on the first request of the sequence"};
  }
  if (request->sequence_start) {
    const Shared old = std::exchange(sequence, inputs_.begin(std::move(key)));
    ++num_sequences_;
    if (old) start_over(old, sequence);
    sequences_[sequence->key] = sequence;
    backlog_.push_back(sequence);
  }
  request->timestamps.queued_ns = now_ns;
  request->deadline_ns = deadline_of(*request);
  sequence->last_active_ns = now_ns;
  sequence->note_due(request->deadline_ns);
  if (request->sequence_end || iterates) sequence->ended = true;
  if (!sequence->slot && request->deadline_ns != 0 &&
      (backlog_due_ns_ == 0 || request->deadline_ns < backlog_due_ns_)) {
    backlog_due_ns_ = request->deadline_ns;
  }
  if (order_ && sequence->slot) order_->enter(*request);
  sequence->waiting.push_back(std::move(request));
  num_waiting_.fetch_add(1, std::memory_order_relaxed);
  fill_slots();
  if (sequence->slot) {
    instance_of(*sequence).changed.notify_one();
  } else if (sequence->due_ns != 0) {
    wake_all();  // somebody has to look when it is due
  }
  return {};
}

void SequenceScheduler::start_over(const Shared& old, const Shared& sequence) {
  old->ended = true;
  if (old->is_idle()) {
    release_if_over(old);
  } else {
    sequence->before = old;
  }
}

std::optional<Batch> SequenceScheduler::next(std::size_t instance) {
  std::unique_lock lock(mutex_);
  Instance& own = *instances_[instance];
  for (;;) {
    if (std::exchange(own.is_called_away, false)) return Batch();
    std::optional<std::uint64_t> wait_until_ns;
    if (auto batch = form(instance, wait_until_ns)) return batch;
    if (closed_ && num_waiting() == 0) return std::nullopt;
    if (wait_until_ns) {
      own.changed.wait_until(lock, time_of(*wait_until_ns));
    } else {
      own.changed.wait(lock);
    }
  }
}

std::optional<Batch> SequenceScheduler::try_next(std::size_t instance) {
  const std::lock_guard lock(mutex_);
  std::optional<std::uint64_t> wait_until_ns;
  return form(instance, wait_until_ns);
}

void SequenceScheduler::call_away(std::size_t instance) {
  const std::lock_guard lock(mutex_);
  instances_[instance]->is_called_away = true;
  instances_[instance]->changed.notify_all();
}

bool SequenceScheduler::sweep(std::vector<DroppedRequest>& dropped) {
  const std::lock_guard lock(mutex_);
  if (sequences_.empty()) return false;
  const std::uint64_t now_ns = clock_.now_ns();
  std::optional<std::uint64_t> next_ns;
  for (const auto& instance : instances_) {
    tidy(*instance, now_ns, next_ns);
    tidy_backlog(*instance, now_ns, next_ns);
    num_waiting_.fetch_sub(instance->dropped.size(), std::memory_order_relaxed);
    std::ranges::move(instance->dropped, std::back_inserter(dropped));
    instance->dropped.clear();
  }
  fill_slots();
  if (closed_ && num_waiting() == 0) wake_all();
  return next_ns.has_value();
}

void SequenceScheduler::close(bool drain) {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  if (!drain) discard_ = true;
  // No request will come that could go on with those that have none.
  for (const auto& instance : instances_) {
    for (const Shared& slot : std::vector<Shared>(instance->slots)) {
      if (slot == nullptr) continue;
      slot->ended = true;
      release_if_over(slot);
    }
  }
  fill_slots();
  wake_all();
}

std::size_t SequenceScheduler::num_sequences() const {
  const std::lock_guard lock(mutex_);
  return num_sequences_;
}

void SequenceScheduler::respond(const Request& request, Response response) noexcept {
  {
    const std::lock_guard lock(mutex_);
    inputs_.keep_states(*in_flight_.at(&request), request, response);
  }
  request.after(*this).respond(request, std::move(response));
}

void SequenceScheduler::complete(std::unique_ptr<Request> request, Response response) noexcept {
  if (request->is_filler) return;
  request->pass_on();
  {
    const std::lock_guard lock(mutex_);
    const Shared sequence = std::move(in_flight_.extract(request.get()).mapped());
    Instance& instance = instance_of(*sequence);
    inputs_.keep_states(*sequence, *request, response);
    sequence->in_flight = false;
    sequence->last_active_ns = clock_.now_ns();
    if (request->is_cancelled()) {
      end(sequence, cancelled_in_queue(), instance);
    } else if (response.reschedule) {
      request->sequence_start = false;
      request->timestamps.queued_ns = sequence->last_active_ns;
      sequence->waiting.push_front(std::move(request));
      num_waiting_.fetch_add(1, std::memory_order_relaxed);
      request = nullptr;
    }
    if (closed_) sequence->ended = true;
    release_if_over(sequence);
    fill_slots();
    instance.changed.notify_one();
  }
  if (request == nullptr) return;
  if (response.reschedule) response.status = cancelled_in_queue();
  CompletionSink* const sink = request->sink;
  sink->complete(std::move(request), std::move(response));
}

void SequenceScheduler::fill_slots() {
  std::optional<std::size_t> slot = free_slot();
  for (auto it = backlog_.begin(); it != backlog_.end() && slot;) {
    const Shared sequence = *it;
    if (sequence->before != nullptr && !sequence->before->over) {
      ++it;
      continue;
    }
    sequence->before.reset();
    it = backlog_.erase(it);
    sequence->slot = slot;
    for (const auto& waiting : sequence->waiting) {
      if (order_) order_->enter(*waiting);
    }
    Instance& instance = instance_of(*sequence);
    instance.slots[*slot % slots_per_instance_] = sequence;
    instance.changed.notify_one();
    slot = free_slot();
  }
}

std::optional<std::size_t> SequenceScheduler::free_slot() const {
  if (backlog_.empty()) return std::nullopt;
  // The lowest row of any instance: batches stay short, and instances are used evenly.
  for (std::size_t row = 0; row < slots_per_instance_; ++row) {
    for (std::size_t i = 0; i < instances_.size(); ++i) {
      if (instances_[i]->slots[row] == nullptr) return i * slots_per_instance_ + row;
    }
  }
  return std::nullopt;
}

void SequenceScheduler::end(const Shared& sequence, const Status& status, Instance& instance) {
  // They count as waiting until the instance hands them out.
  for (auto& request : sequence->waiting) instance.dropped.push_back({std::move(request), status});
  sequence->waiting.clear();
  sequence->due_ns = 0;
  sequence->ended = true;
  release_if_over(sequence);
}

void SequenceScheduler::release_if_over(const Shared& shared) {
  // By value: it may be the last slot's share.  NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Shared sequence = shared;
  if (!sequence->ended || !sequence->is_idle() || sequence->over) return;
  sequence->over = true;
  --num_sequences_;
  if (sequence->slot) {
    instance_of(*sequence).slots[*sequence->slot % slots_per_instance_].reset();
  } else {
    std::erase(backlog_, sequence);
  }
  const auto known = sequences_.find(sequence->key);
  if (known != sequences_.end() && known->second == sequence) sequences_.erase(known);
}

bool SequenceScheduler::is_stale(const Sequence& sequence, std::uint64_t now_ns) const {
  return sequence.is_idle() && now_ns - sequence.last_active_ns >= spec_.max_idle_ns;
}

void SequenceScheduler::wake_all() {
  for (const auto& instance : instances_) instance->changed.notify_all();
}

}  // namespace naiad
