#include "engine/distributions.h"

#include "engine/wall_clock.h"

namespace naiad {

void RecentValues::observe(double value, std::uint64_t now_ns, std::uint64_t times) {
  const std::uint64_t number = now_ns / kPartNs + 1;
  Part& part = parts_[number % kNumParts];
  if (part.number != number) part = {number, {}};
  part.values.observe(value, times);
  count_ += times;
  sum_ += value * static_cast<double>(times);
}

std::vector<double> RecentValues::quantiles(const std::vector<double>& shares, std::uint64_t now_ns) const {
  const std::uint64_t number = now_ns / kPartNs + 1;
  Histogram recent;
  for (const Part& part : parts_) {
    if (part.number != 0 && number - part.number < kNumParts) recent.add(part.values);
  }
  std::vector<double> values;
  values.reserve(shares.size());
  for (const double share : shares) values.push_back(recent.quantile(share));
  return values;
}

void Distributions::exemplify(Measured which, double value, const Trace& trace) {
  if (exemplars == nullptr) exemplars = std::make_unique<Exemplars>();
  exemplars->note(which, {trace.id(), value, wall_clock_ms()});
}

}  // namespace naiad
