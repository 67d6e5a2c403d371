#include "engine/counted_responses.h"

namespace naiad {
namespace {

// A stream may be endless; the counters are not.
constexpr std::size_t kMaxPlaces = 10'000;

void count(ResponseTallies& tallies, const ResponseObserver::Given& given) {
  if (given.code == Code::kCancelled) {
    tallies.cancel.add(1, given.spent_ns);
  } else if (given.code != Code::kOk) {
    tallies.compute_infer.add(1, given.spent_ns);
    tallies.compute_output.add(1, 0);
    tallies.fail.add(1, given.spent_ns);
  } else if (given.is_empty) {
    tallies.compute_infer.add(1, given.spent_ns);
    tallies.empty_response.add(1, given.spent_ns);
  } else {
    tallies.compute_infer.add(1, given.spent_ns);
    tallies.compute_output.add(1, 0);
    tallies.success.add(1, given.spent_ns);
  }
}

}  // namespace

void CountedResponses::responded(const Given& given) {
  const std::uint64_t now_ns = clock_.now_ns();
  const std::uint64_t in_all_ns = now_ns - given.received_ns;
  statistics_->record([&](StatisticsValues& values, Distributions& distributions) {
    if (given.place < kMaxPlaces) count(values.responses[given.place], given);
    if (given.place == 0 && given.code == Code::kOk && !given.is_part) {
      distributions.add_first_response(in_all_ns, given.trace);
    }
    if (!given.is_last || given.is_part) return;
    if (given.code == Code::kOk) {
      values.success.add(1, in_all_ns);
      distributions.add_request(in_all_ns, now_ns, given.trace);
      return;
    }
    values.fail.add(1, in_all_ns);
    const auto reason = given.code == Code::kCancelled ? FailureReason::kCanceled : FailureReason::kBackend;
    ++values.failures[static_cast<std::size_t>(reason)];
  });
}

}  // namespace naiad
