#include "schedule/adaptive_delay.h"

#include <algorithm>
#include <bit>

namespace naiad {
namespace {

constexpr std::size_t kArrivalsBetweenLooks = 16;
// A larger batch pays when its rows cost at most this part of what those of a smaller one do.
constexpr std::uint64_t kPaysPercent = 90;
constexpr std::uint64_t kWellWithinPercent = 85;
constexpr std::uint64_t kLeastQuietNs = 50'000;  // a sleep is no shorter
constexpr std::uint64_t kLeastShareDivisor = 64;

}  // namespace

void AdaptiveDelay::Window::add(std::uint64_t value) {
  if (values.size() < kWindow) {
    values.push_back(value);
    return;
  }
  values[next] = value;
  next = (next + 1) % kWindow;
}

std::uint64_t AdaptiveDelay::Window::at_percent(std::size_t percent) const {
  if (values.empty()) return 0;
  std::vector<std::uint64_t> sorted = values;
  const auto place = sorted.begin() +
                     static_cast<std::ptrdiff_t>(std::min(sorted.size() - 1, sorted.size() * percent / 100));
  std::ranges::nth_element(sorted, place);
  return *place;
}

void AdaptiveDelay::arrived(std::uint64_t queued_ns) {
  const std::lock_guard lock(mutex_);
  if (last_queued_ns_ != 0) gaps_ns_.add(queued_ns > last_queued_ns_ ? queued_ns - last_queued_ns_ : 0);
  last_queued_ns_ = std::max(last_queued_ns_, queued_ns);
  if (++num_arrived_ % kArrivalsBetweenLooks != 0) return;
  gap_ns_ = std::max<std::uint64_t>(1, gaps_ns_.at_percent(50));
  decide();
}

void AdaptiveDelay::ran(const BatchTimes& times) {
  const std::lock_guard lock(mutex_);
  compute_ns_.add(times.compute_ns);
  last_end_ns_ = std::max(last_end_ns_, times.end_ns);
  std::uint64_t& row_ns = row_ns_[std::min<std::size_t>(
      kNumSizes - 1, static_cast<std::size_t>(std::bit_width(std::max(1U, times.num_rows)) - 1))];
  const std::uint64_t now_ns = std::max<std::uint64_t>(1, times.compute_ns / std::max(1U, times.num_rows));
  row_ns = row_ns == 0 ? now_ns : row_ns - row_ns / 8 + now_ns / 8;
  latest_ns_ = std::max(latest_ns_, times.queue_ns + times.compute_ns);
  if (++num_ran_ < kLook) return;
  if (latest_ns_ > target_ns_) {
    share_ = std::max(kWhole / kLeastShareDivisor, share_ * 3 / 4);
  } else if (latest_ns_ < target_ns_ / 100 * kWellWithinPercent) {
    share_ = std::min(kWhole, share_ + kWhole / 16);
  }
  num_ran_ = 0;
  latest_ns_ = 0;
  decide();
}

bool AdaptiveDelay::larger_pays() const {
  const auto known = [](std::uint64_t row_ns) { return row_ns != 0; };
  const auto smaller = std::ranges::find_if(row_ns_, known);
  const auto larger = std::find_if(row_ns_.rbegin(), row_ns_.rend(), known).base();  // behind it
  if (smaller == row_ns_.end() || larger - smaller <= 1) return true;                // to be found out
  return *(larger - 1) <= *smaller / 100 * kPaysPercent + *smaller % 100 * kPaysPercent / 100;
}

void AdaptiveDelay::decide() {
  const std::uint64_t slow_ns = compute_ns_.at_percent(99);
  const std::uint64_t left_ns = slow_ns == 0 || slow_ns >= target_ns_ ? 0 : target_ns_ - slow_ns;
  const std::uint64_t delay_ns = left_ns / kWhole * share_ + left_ns % kWhole * share_ / kWhole;
  const bool nobody_comes = gap_ns_ == 0 || gap_ns_ > delay_ns;
  delay_ns_ = nobody_comes || !larger_pays() ? 0 : delay_ns;
}

std::uint64_t AdaptiveDelay::delay_ns() const {
  const std::lock_guard lock(mutex_);
  return delay_ns_;
}

std::uint64_t AdaptiveDelay::last_end_ns() const {
  const std::lock_guard lock(mutex_);
  return last_end_ns_;
}

std::uint64_t AdaptiveDelay::quiet_ns() const {
  const std::lock_guard lock(mutex_);
  return std::max(kLeastQuietNs, gap_ns_ * kQuietGaps);
}

}  // namespace naiad
