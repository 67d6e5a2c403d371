#include "engine/tracer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace naiad {
namespace {

std::uint64_t seed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

std::size_t bytes_of(const TraceRecord& record) {
  std::size_t num_bytes = sizeof record;
  for (const TraceSpan& span : record.spans) {
    num_bytes += sizeof span + span.model_name.size() + span.request_id.size();
    num_bytes += span.events.size() * sizeof(TraceEvent);
    for (const TracedTensor& tensor : span.tensors) num_bytes += sizeof tensor + tensor.bytes.size();
  }
  return num_bytes;
}

}  // namespace

Tracer::Tracer(const Clock& clock, Bounds bounds) : clock_(clock), bounds_(bounds), random_(seed()) {}

void Tracer::set(const std::string& model, TraceSetting setting) {
  const Lock lock(mutex_);
  if (!closed_) replace(model, setting);
}

void Tracer::clear(const std::string& model) {
  const Lock lock(mutex_);
  replace(model, std::nullopt);
}

void Tracer::replace(const std::string& model, std::optional<TraceSetting> setting) {
  if (const auto old = by_model_.find(model); old != by_model_.end()) {
    const auto found = active_.find(old->second);
    Active& active = found->second;
    active.replaced = true;
    if (active.num_ended == active.num_begun) {
      tell({.setting = old->second, .record = std::nullopt, .has_all = false, .has_ended = true}, 0);
      active_.erase(found);
    }
    by_model_.erase(old);
  }
  if (setting) {
    by_model_.emplace(model, setting->number);
    active_.emplace(setting->number, Active{.setting = *setting, .left = setting->count});
  }
  look_whether_on();
}

void Tracer::look_whether_on() {
  const bool on = std::ranges::any_of(by_model_, [&](const auto& entry) {
    const Active& active = active_.at(entry.second);
    const TraceSetting& setting = active.setting;
    return setting.levels.any() && (setting.has_context || (setting.rate != 0 && active.left != 0));
  });
  on_.store(on, std::memory_order_relaxed);
}

std::int64_t Tracer::count_left(const std::string& model) const {
  const Lock lock(mutex_);
  auto found = by_model_.find(model);
  if (found == by_model_.end()) found = by_model_.find("");
  return found == by_model_.end() ? 0 : active_.at(found->second).left;
}

std::shared_ptr<Trace> Tracer::sample(std::string_view model, const TraceHeaders& headers) {
  TraceRecord record;
  {
    const Lock lock(mutex_);
    auto found = by_model_.find(model);
    if (found == by_model_.end()) found = by_model_.find("");
    if (found == by_model_.end()) return nullptr;
    Active& active = active_.at(found->second);
    const TraceSetting& setting = active.setting;
    if (!setting.levels.any()) return nullptr;
    record.has_context = setting.has_context;
    const bool is_asked = setting.has_context && read_traceparent(headers.parent, record.parent);
    const bool is_turn = setting.rate != 0 && ++active.num_seen % setting.rate == 0 && active.left != 0;
    if (!is_asked && !is_turn) return nullptr;
    ++active.num_begun;
    if (is_turn && active.left > 0) {
      --active.left;
      if (active.left == 0) look_whether_on();
    }
    record.setting = setting.number;
    record.levels = setting.levels;
    if (is_asked) record.parent.state = headers.state;
  }
  if (record.has_context) {
    record.root = record.parent;
    if (record.parent.span_id == 0) {
      record.root.trace_id_high = random();
      record.root.trace_id_low = random();
    }
    record.root.span_id = random();
    record.root.flags = 1;  // sampled
  }
  return Trace::begin(*this, std::move(record));
}

std::shared_ptr<Trace> Tracer::watch(std::shared_ptr<TraceWatch> watch) {
  TraceRecord record;
  record.levels.timestamps = true;
  {
    const Lock lock(mutex_);
    record.setting = ++last_watch_;
    watches_.emplace(record.setting, std::move(watch));
  }
  return Trace::begin(*this, std::move(record));
}

void Tracer::traced(TraceRecord record) noexcept {
  const std::size_t num_bytes = bytes_of(record);
  const Lock lock(mutex_);
  if (const auto watch = watches_.find(record.setting); watch != watches_.end()) {
    watch->second->put(std::move(record));
    watches_.erase(watch);
    return;
  }
  const auto found = active_.find(record.setting);
  Active& active = found->second;
  ++active.num_ended;
  const std::uint64_t number = record.setting;
  const bool has_all = active.left == 0 && active.num_ended == active.num_begun;
  const bool has_ended = active.replaced && active.num_ended == active.num_begun;
  const bool is_empty = record.spans.empty();
  const bool has_room =
      news_.size() < bounds_.num_records && num_news_bytes_ + num_bytes <= bounds_.num_bytes;
  if (!is_empty && !has_room) ++num_dropped_;
  TraceNews news{.setting = number, .record = std::nullopt, .has_all = has_all, .has_ended = has_ended};
  if (!is_empty && has_room) news.record = std::move(record);
  if (has_ended) active_.erase(found);
  if (news.record || has_all || has_ended) tell(std::move(news), num_bytes);
}

void Tracer::tell(TraceNews news, std::size_t num_bytes) {
  news_.emplace_back(std::move(news), num_bytes);
  num_news_bytes_ += num_bytes;
  told_.notify_one();
}

std::vector<TraceNews> Tracer::take(std::uint64_t timeout_ns) {
  std::vector<TraceNews> taken;
  Lock lock(mutex_);
  told_.wait_for(lock, std::chrono::nanoseconds(timeout_ns), [&] { return closed_ || !news_.empty(); });
  taken.reserve(news_.size());
  for (auto& each : news_) taken.push_back(std::move(each.first));
  news_.clear();
  num_news_bytes_ = 0;
  return taken;
}

void Tracer::close() {
  const Lock lock(mutex_);
  while (!by_model_.empty()) replace(std::string(by_model_.begin()->first), std::nullopt);
  closed_ = true;
  told_.notify_all();
}

bool Tracer::closed() const {
  const Lock lock(mutex_);
  return closed_;
}

std::uint64_t Tracer::num_dropped() const {
  const Lock lock(mutex_);
  return num_dropped_;
}

std::uint64_t Tracer::next_trace_id() {
  return last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
}

void Tracer::remember(std::uint64_t number, std::weak_ptr<Trace> trace) {
  const std::lock_guard lock(open_mutex_);
  open_.emplace(number, std::move(trace));
}

void Tracer::forget(std::uint64_t number) {
  const std::lock_guard lock(open_mutex_);
  open_.erase(number);
}

std::shared_ptr<Trace> Tracer::spawn_of(std::uint64_t number) const {
  std::shared_ptr<Trace> parent;
  {
    const std::lock_guard lock(open_mutex_);
    if (const auto found = open_.find(number); found != open_.end()) parent = found->second.lock();
  }
  return parent ? parent->spawn() : nullptr;
}

std::uint64_t Tracer::random() {
  const std::lock_guard lock(random_mutex_);
  std::uint64_t value = 0;
  while (value == 0) value = random_();
  return value;
}

}  // namespace naiad
