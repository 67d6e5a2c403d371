#include "bindings/statistics.h"

#include <pybind11/stl.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

namespace naiad {
namespace {

py::tuple pair(const Tally& tally) {
  return py::make_tuple(tally.count, tally.total_ns);
}

// Buckets that hold something, by their number.
py::tuple spread(const Histogram& histogram) {
  py::list buckets;
  for (std::size_t i = 0; i < Histogram::kNumBuckets; ++i) {
    if (histogram.count_of(i) != 0) buckets.append(py::make_tuple(i, histogram.count_of(i)));
  }
  return py::make_tuple(histogram.count(), histogram.sum(), buckets);
}

// How those who read traces write its number: as W3C's trace contexts have it, or as Triton's files do.
std::string text_of(const TraceId& trace) {
  if (!trace.has_context) return std::to_string(trace.low);
  std::array<char, 33> text{};
  const int size =
      std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(trace.high),
                    static_cast<unsigned long long>(trace.low));
  return {text.data(), static_cast<std::size_t>(size)};
}

// Those of one histogram that there are, by the number of their doubling.
py::list exemplars_list(const Exemplars& exemplars, Measured which) {
  py::list list;
  for (std::size_t doubling = 0; doubling < Exemplars::kNumDoublings; ++doubling) {
    const Exemplar& each = exemplars.at(which, doubling);
    if (each.at_ms != 0) list.append(py::make_tuple(doubling, text_of(each.trace), each.value, each.at_ms));
  }
  return list;
}

}  // namespace

py::dict statistics_dict(const StatisticsValues& values) {
  static constexpr const char* kReasons[kNumFailureReasons] = {"REJECTED", "CANCELED", "BACKEND", "OTHER"};
  py::dict failures;
  for (std::size_t i = 0; i < kNumFailureReasons; ++i) failures[kReasons[i]] = values.failures[i];
  py::list batches;
  for (const auto& [size, batch] : values.batches) {
    batches.append(py::make_tuple(size, pair(batch.compute_input), pair(batch.compute_infer),
                                  pair(batch.compute_output)));
  }
  py::dict dict;
  dict["inference_count"] = values.inference_count;
  dict["execution_count"] = values.execution_count;
  dict["last_inference_ms"] = values.last_inference_ms;
  dict["last_used_s"] = static_cast<double>(values.last_used_ns) / 1e9;
  dict["success"] = pair(values.success);
  dict["fail"] = pair(values.fail);
  dict["queue"] = pair(values.queue);
  dict["compute_input"] = pair(values.compute_input);
  dict["compute_infer"] = pair(values.compute_infer);
  dict["compute_output"] = pair(values.compute_output);
  dict["cache_hit"] = pair(values.cache_hit);
  dict["cache_miss"] = pair(values.cache_miss);
  dict["cache_insertion"] = pair(values.cache_insertion);
  dict["failures"] = failures;
  dict["batches"] = batches;
  py::dict responses;
  for (const auto& [place, tallies] : values.responses) {
    py::dict each;
    each["compute_infer"] = pair(tallies.compute_infer);
    each["compute_output"] = pair(tallies.compute_output);
    each["success"] = pair(tallies.success);
    each["fail"] = pair(tallies.fail);
    each["empty_response"] = pair(tallies.empty_response);
    each["cancel"] = pair(tallies.cancel);
    responses[py::int_(place)] = each;
  }
  dict["responses"] = responses;
  return dict;
}

// Copies are made under the lock, Python's objects without it: making those may run anything.
py::dict distributions_dict(const Model& model) {
  static constexpr std::array<std::pair<const char*, Histogram Distributions::*>, 5> kHistograms = {
      {{"request", &Distributions::request},
       {"queue", &Distributions::queue},
       {"compute", &Distributions::compute},
       {"first_response", &Distributions::first_response},
       {"batch_rows", &Distributions::batch_rows}}};
  std::array<Histogram, kHistograms.size()> histograms;
  BucketCounts first_ms;
  std::unique_ptr<Exemplars> exemplars;
  model.measured().look([&](const Distributions& distributions) {
    for (std::size_t i = 0; i < kHistograms.size(); ++i) {
      histograms[i] = distributions.*kHistograms[i].second;
    }
    first_ms = distributions.first_response_ms;
    if (distributions.exemplars) exemplars = std::make_unique<Exemplars>(*distributions.exemplars);
  });
  py::dict dict;
  py::dict examples;
  if (exemplars) {
    for (std::size_t i = 0; i < kHistograms.size(); ++i) {
      examples[kHistograms[i].first] = exemplars_list(*exemplars, static_cast<Measured>(i));
    }
  }
  dict["exemplars"] = examples;
  for (std::size_t i = 0; i < kHistograms.size(); ++i) dict[kHistograms[i].first] = spread(histograms[i]);
  dict["first_response_ms"] =
      py::make_tuple(first_ms.count(), first_ms.sum(), first_ms.bounds(), first_ms.counts());
  return dict;
}

py::object summaries_dict(const Model& model, const std::vector<double>& shares) {
  static constexpr std::array<const char*, kNumSummaries> kNames = {
      "request", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"};
  const std::uint64_t now_ns = SteadyClock().now_ns();
  std::vector<SummaryValues> read;
  model.measured().look([&](const Distributions& distributions) {
    if (distributions.summaries == nullptr) return;
    for (const RecentValues& values : *distributions.summaries) {
      read.push_back({values.count(), values.sum(), values.quantiles(shares, now_ns)});
    }
  });
  if (read.empty()) return py::none();
  py::dict dict;
  for (std::size_t i = 0; i < kNumSummaries; ++i) {
    dict[kNames[i]] = py::make_tuple(read[i].count, read[i].sum, read[i].quantiles);
  }
  return dict;
}

}  // namespace naiad
