#include "schedule/batch_policy.h"

#include <algorithm>

namespace naiad {

BatchDecision decide_batch(const BatchRules& rules, std::span<const WaitingRequest> waiting, bool can_grow,
                           std::uint64_t now_ns) {
  if (waiting.empty()) return {};

  std::uint32_t num_rows = 0;
  std::size_t preferred = 0;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    num_rows += waiting[i].num_rows;
    if (std::ranges::binary_search(rules.preferred_rows, num_rows)) preferred = i + 1;
  }
  if (preferred != 0) return {preferred, {}};

  const bool full = !can_grow || num_rows >= rules.preferred_rows.back();
  const std::uint64_t oldest_ns =
      std::ranges::min_element(waiting, {}, &WaitingRequest::queued_ns)->queued_ns;
  std::uint64_t due_ns = oldest_ns + rules.max_delay_ns;
  if (rules.quiet_ns != 0) {
    const std::uint64_t newest_ns =
        std::ranges::max_element(waiting, {}, &WaitingRequest::queued_ns)->queued_ns;
    due_ns = std::min(due_ns, std::max(newest_ns, rules.quiet_from_ns) + rules.quiet_ns);
  }
  if (full || now_ns >= due_ns) return {waiting.size(), {}};
  return {0, due_ns};
}

}  // namespace naiad
