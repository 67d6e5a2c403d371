#include "engine/store_queue.h"

namespace naiad {
namespace {

template <typename Item>
std::vector<Item> take_first(std::deque<Item>& from, std::size_t most) {
  std::vector<Item> taken;
  while (!from.empty() && taken.size() < most) {
    taken.push_back(std::move(from.front()));
    from.pop_front();
  }
  return taken;
}

}  // namespace

bool StoreQueue::look_up(const Digest128& key, Found found) {
  {
    const std::lock_guard lock(mutex_);
    if (rests() || outstanding_.size() >= kMaxLookUps) {
      ++counts_.skipped;
      return false;
    }
    look_ups_.push_back({++last_ticket_, key});
    outstanding_.emplace(last_ticket_, std::move(found));
  }
  changed_.notify_one();
  return true;
}

void StoreQueue::keep(const Digest128& key, std::string entry) {
  {
    const std::lock_guard lock(mutex_);
    if (rests() || entry_bytes_ + entry.size() > kMaxEntryBytes) {
      ++counts_.dropped;
      return;
    }
    entry_bytes_ += entry.size();
    entries_.push_back({key, std::move(entry)});
  }
  changed_.notify_one();
}

std::optional<StoreQueue::Work> StoreQueue::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || !look_ups_.empty() || !entries_.empty(); });
  if (closed_) return std::nullopt;
  Work work{take_first(look_ups_, kMaxWork), take_first(entries_, kMaxWork)};
  for (const Entry& entry : work.entries) entry_bytes_ -= entry.bytes.size();
  return work;
}

void StoreQueue::answer(std::uint64_t ticket, std::optional<std::string> entry) {
  Outstanding::node_type waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = outstanding_.extract(ticket);
  }
  if (waiting) waiting.mapped()(std::move(entry));
}

void StoreQueue::pause(std::uint64_t duration_ns) {
  std::vector<Found> missed;
  {
    const std::lock_guard lock(mutex_);
    rests_until_ns_ = clock_.now_ns() + duration_ns;
    for (const LookUp& look_up : look_ups_) {
      auto waiting = outstanding_.extract(look_up.ticket);
      if (waiting) missed.push_back(std::move(waiting.mapped()));
    }
    counts_.skipped += look_ups_.size();
    counts_.dropped += entries_.size();
    look_ups_.clear();
    entries_.clear();
    entry_bytes_ = 0;
  }
  for (const Found& found : missed) found(std::nullopt);
}

void StoreQueue::close() {
  Outstanding missed;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    missed.swap(outstanding_);
    look_ups_.clear();
    entries_.clear();
    entry_bytes_ = 0;
  }
  changed_.notify_all();
  for (const auto& [ticket, found] : missed) found(std::nullopt);
}

StoreQueue::Counts StoreQueue::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace naiad
