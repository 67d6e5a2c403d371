#include "schedule/dynamic_scheduler.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "schedule/drop_status.h"
#include "schedule/same_shape.h"

namespace naiad {
namespace {

// After a look at all that waits for what is due, the next one is not before this time: many deadlines do not
// cost a look each.
constexpr std::uint64_t kLookAgainNs = 1'000'000;

// Positions of instances: so many may come later than the scheduler.
constexpr std::size_t kRoom = 512;

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

std::size_t num_levels(const ModelSpec& model) {
  return std::max<std::size_t>(1, model.batching.levels.size());
}

std::uint64_t earliest(std::uint64_t a_ns, std::uint64_t b_ns) {
  if (a_ns == 0 || b_ns == 0) return a_ns + b_ns;
  return std::min(a_ns, b_ns);
}

// When the request's time in the queue is over; 0: never.
std::uint64_t expiry_of(const Request& request, const QueuePolicy& policy) {
  std::uint64_t timeout_ns = policy.default_timeout_ns;
  if (policy.allow_override && request.timeout_us != 0) {
    const auto own_ns = checked_mul<std::uint64_t>(request.timeout_us, 1000);
    if (own_ns && (timeout_ns == 0 || *own_ns < timeout_ns)) timeout_ns = *own_ns;
  }
  if (timeout_ns == 0) return 0;
  return checked_add(request.timestamps.queued_ns, timeout_ns).value_or(0);
}

std::uint64_t due_of(const Request& request) {
  return earliest(request.deadline_ns, request.expires_ns);
}

}  // namespace

DynamicScheduler::DynamicScheduler(const ModelSpec& model, const Clock& clock, std::size_t num_instances)
    : model_(model),
      clock_(clock),
      rules_(rules_of(model)),
      adaptive_(model.batching.latency_target_ns == 0
                    ? nullptr
                    : std::make_unique<AdaptiveDelay>(model.batching.latency_target_ns)),
      may_wait_(adaptive_ != nullptr || rules_.max_delay_ns != 0),
      reach_(std::clamp<std::size_t>(std::size_t{rules_.max_rows} * 4, 64, 1024)),
      levels_(num_levels(model)),
      order_(model.batching.preserve_ordering && num_instances > 0 ? std::make_unique<ResponseOrder>()
                                                                   : nullptr),
      queue_(model.max_queue_size),
      called_away_(std::max(kRoom, num_instances)),
      line_(num_levels(model)) {
  for (std::size_t i = 0; i < model.batching.levels.size(); ++i) levels_[i].policy = model.batching.levels[i];
}

std::size_t DynamicScheduler::level_of(const Request& request) const {
  const std::uint64_t priority = request.priority;
  if (priority >= 1 && priority <= levels_.size()) return priority - 1;
  return std::min<std::size_t>(levels_.size(), std::max(1U, model_.batching.default_priority)) - 1;
}

Status DynamicScheduler::try_submit(std::unique_ptr<Request>& request) {
  Level& level = levels_[level_of(*request)];
  const std::size_t ahead = level.num_waiting.fetch_add(1, std::memory_order_relaxed);
  if (level.policy.max_size != 0 && ahead >= level.policy.max_size) {
    level.num_waiting.fetch_sub(1, std::memory_order_relaxed);
    return queue_full();
  }
  request->timestamps.queued_ns = clock_.now_ns();
  request->expires_ns = expiry_of(*request, level.policy);
  const bool is_timed = due_of(*request) != 0;
  if (is_timed) num_timed_.fetch_add(1, std::memory_order_relaxed);
  Status status = queue_.try_push(request);
  if (!status.ok()) {
    if (is_timed) num_timed_.fetch_sub(1, std::memory_order_relaxed);
    level.num_waiting.fetch_sub(1, std::memory_order_relaxed);
  }
  return status;
}

std::optional<Batch> DynamicScheduler::next(std::size_t instance) {
  std::atomic<bool>& away = called_away_[instance];
  const std::lock_guard lock(former_);
  for (;;) {
    if (away.exchange(false, std::memory_order_relaxed)) return Batch();
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
    if (away.load(std::memory_order_seq_cst)) {
      queue_.cancel_wait(ticket);
      continue;
    }
    queue_.wait(ticket, wait_until_ns);
  }
}

void DynamicScheduler::call_away(std::size_t instance) {
  called_away_[instance].store(true, std::memory_order_seq_cst);
  queue_.wake();
}

std::optional<Batch> DynamicScheduler::try_next() {
  const std::lock_guard lock(former_);
  std::optional<std::uint64_t> wait_until_ns;
  return form(wait_until_ns);
}

bool DynamicScheduler::sweep(std::vector<DroppedRequest>& dropped) {
  if (num_timed_.load(std::memory_order_relaxed) == 0) return false;
  // Held: an instance is there, and looks itself.
  const std::unique_lock lock(former_, std::try_to_lock);
  if (!lock) return true;
  take_in();
  drop_dead(clock_.now_ns(), dropped);
  queue_.forget(dropped.size());
  return true;
}

void DynamicScheduler::close(bool drain) {
  if (!drain) discard_.store(true, std::memory_order_seq_cst);
  queue_.close();
}

std::optional<Batch> DynamicScheduler::form(std::optional<std::uint64_t>& wait_until_ns) {
  wait_until_ns.reset();
  take_in();
  std::vector<DroppedRequest> dropped;
  const std::uint64_t now_ns = clock_.now_ns();
  drop_dead(now_ns, dropped);
  look_ahead(now_ns, dropped);
  choose(now_ns, wait_until_ns);
  const bool waits = group_.places.empty();
  // Those that expire while they wait for company are dropped in time.
  if (waits && first_due_ns_ != 0) {
    wait_until_ns = std::min(wait_until_ns.value_or(first_due_ns_), first_due_ns_);
  }
  if (waits && dropped.empty()) return std::nullopt;
  return take(std::move(dropped));
}

void DynamicScheduler::take_in() {
  while (auto request = queue_.try_pop()) {
    if (order_) order_->enter(*request);
    if (adaptive_) adaptive_->arrived(request->timestamps.queued_ns);
    note_due(*request);
    const std::size_t level = level_of(*request);
    line_.push(std::move(request), level);
  }
}

void DynamicScheduler::note_due(const Request& request) {
  first_due_ns_ = earliest(first_due_ns_, due_of(request));
}

void DynamicScheduler::drop_dead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped) {
  const bool discard = discard_.load(std::memory_order_seq_cst);
  if (!discard && (first_due_ns_ == 0 || now_ns < first_due_ns_)) return;
  first_due_ns_ = 0;
  Place place;
  bool there = line_.first(place);
  while (there) {
    if (is_dead(place, now_ns, dropped)) {
      there = line_.settle(place);
    } else {
      note_due(line_.at(place));
      there = line_.next(place);
    }
  }
  if (first_due_ns_ != 0) first_due_ns_ = std::max(first_due_ns_, now_ns + kLookAgainNs);
}

bool DynamicScheduler::is_dead(Place& place, std::uint64_t now_ns, std::vector<DroppedRequest>& dropped) {
  Request& request = line_.at(place);
  Status status;
  if (discard_.load(std::memory_order_relaxed)) {
    status = unloaded_in_queue(model_);
  } else if (request.is_cancelled()) {
    status = cancelled_in_queue();
  } else if (request.deadline_ns != 0 && now_ns >= request.deadline_ns) {
    status = deadline_passed_in_queue();
  } else if (request.expires_ns != 0 && now_ns >= request.expires_ns) {
    const std::size_t level = line_.level(place);
    if (levels_[level].policy.delays) {
      request.expires_ns = 0;
      if (request.deadline_ns == 0) num_timed_.fetch_sub(1, std::memory_order_relaxed);
      line_.delay(place);
      return true;
    }
    status = timed_out_in_queue();
  } else {
    return false;
  }
  const std::size_t level = line_.level(place);
  dropped.push_back({line_.take(place), std::move(status)});
  forget(*dropped.back().request, level);
  return true;
}

void DynamicScheduler::look_ahead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped) {
  // What was cancelled is found when it comes near.
  Place place;
  bool there = line_.first(place);
  for (std::size_t seen = 0; there && seen < reach_;) {
    if (is_dead(place, now_ns, dropped)) {
      there = line_.settle(place);
    } else {
      ++seen;
      if (!model_.batching.dynamic) return;
      there = line_.next(place);
    }
  }
}

void DynamicScheduler::gather(Place seed) {
  group_.places.assign(1, seed);
  // Once the queue is closed nothing more will come, so there is nothing to wait for.
  group_.can_grow = !queue_.closed();
  const Request& first = line_.at(seed);
  std::uint32_t num_rows = first.num_rows;
  Place place = seed;
  for (std::size_t seen = 1; seen < reach_ && num_rows < rules_.max_rows && line_.next(place); ++seen) {
    const Request& request = line_.at(place);
    if (!batch_together(first, request)) continue;
    if (request.num_rows > rules_.max_rows - num_rows) {
      group_.can_grow = false;
      return;
    }
    num_rows += request.num_rows;
    group_.places.push_back(place);
  }
}

void DynamicScheduler::choose(std::uint64_t now_ns, std::optional<std::uint64_t>& wait_until_ns) {
  group_.places.clear();
  Place seed;
  bool there = line_.first(seed);
  if (!there) return;
  if (!model_.batching.dynamic) {
    group_.places.push_back(seed);
    return;
  }
  if (adaptive_) {
    rules_.max_delay_ns = adaptive_->delay_ns();
    rules_.quiet_ns = adaptive_->quiet_ns();
    rules_.quiet_from_ns = adaptive_->last_end_ns();
  }
  tried_.clear();  // one of each shape that waits for company
  for (std::size_t seen = 0; there && seen < reach_; ++seen, there = line_.next(seed)) {
    const Request& first = line_.at(seed);
    const auto is_like = [&](const Request* other) { return batch_together(*other, first); };
    if (std::ranges::any_of(tried_, is_like)) continue;
    tried_.push_back(&first);
    gather(seed);
    head_.clear();
    for (const Place& place : group_.places) {
      const Request& request = line_.at(place);
      head_.push_back({request.num_rows, request.timestamps.queued_ns});
    }
    const BatchDecision decision = decide_batch(rules_, head_, group_.can_grow, now_ns);
    if (decision.take != 0) {
      group_.places.resize(decision.take);
      return;
    }
    if (decision.wait_until_ns) {
      wait_until_ns = std::min(wait_until_ns.value_or(*decision.wait_until_ns), *decision.wait_until_ns);
    }
  }
  group_.places.clear();
}

Batch DynamicScheduler::take(std::vector<DroppedRequest> dropped) {
  const std::vector<Place>& places = group_.places;
  Batch batch;
  batch.requests.resize(places.size());
  // From the last: what is taken moves only what stands behind it.
  for (std::size_t i = places.size(); i-- > 0;) {
    batch.requests[i] = line_.take(places[i]);
    forget(*batch.requests[i], line_.level(places[i]));
  }
  if (!places.empty()) num_taken_.fetch_add(1, std::memory_order_seq_cst);
  queue_.forget(places.size() + dropped.size());
  batch.dropped = std::move(dropped);
  return batch;
}

void DynamicScheduler::forget(const Request& request, std::size_t level) {
  levels_[level].num_waiting.fetch_sub(1, std::memory_order_relaxed);
  if (due_of(request) != 0) num_timed_.fetch_sub(1, std::memory_order_relaxed);
}

bool DynamicScheduler::finished() const {
  return queue_.closed() && queue_.num_waiting() == 0;
}

}  // namespace naiad
