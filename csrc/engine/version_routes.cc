#include "engine/version_routes.h"

#include <functional>
#include <utility>

namespace naiad {
namespace {

constexpr std::uint64_t kGoldenRatio = 0x9E3779B97F4A7C15U;  // 2^64 divided by it
constexpr std::uint64_t kPercent = 100;

// A number below `total`: of numbers that follow one another, any stretch is spread evenly over all of them,
// so that a share is met after a few requests and not only on the average.
std::uint64_t spread(std::uint64_t number, std::uint64_t total) {
  return ((number * kGoldenRatio) >> 32U) * total >> 32U;
}

std::uint64_t number_of(const Request& request, std::atomic<std::uint64_t>& num_drawn) {
  if (!request.sequence_name.empty()) return std::hash<std::string>{}(request.sequence_name);
  if (request.sequence_id != 0) return request.sequence_id;
  return num_drawn.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

VersionRouter::VersionRouter(VersionRoutes routes) : routes_(std::move(routes)) {
  std::uint32_t most = 0;
  for (const VersionRoutes::Share& share : routes_.shares) {
    total_weight_ += share.weight;
    if (share.weight <= most) continue;
    most = share.weight;
    largest_ = share.version;
  }
}

std::optional<std::int64_t> VersionRouter::labelled(std::string_view label) const {
  const auto found = routes_.labels.find(label);
  if (found == routes_.labels.end()) return std::nullopt;
  return found->second;
}

std::optional<std::int64_t> VersionRouter::draw(const Request& request) const {
  if (total_weight_ == 0) return std::nullopt;
  std::uint64_t drawn = spread(number_of(request, num_drawn_), total_weight_);
  for (const VersionRoutes::Share& share : routes_.shares) {
    if (drawn < share.weight) return share.version;
    drawn -= share.weight;
  }
  return routes_.shares.back().version;
}

std::optional<std::int64_t> VersionRouter::shadow_of(const Request& request) const {
  if (!routes_.shadow) return std::nullopt;
  if (spread(number_of(request, num_shadow_drawn_), kPercent) >= routes_.shadow_percent) return std::nullopt;
  return routes_.shadow;
}

std::unique_ptr<Request> copy_for_shadow(const Request& request) {
  auto copy = std::make_unique<Request>();
  copy->model_name = copy->text.emplace_back(request.model_name);
  copy->id = request.id;
  for (const GivenInput& input : request.given_inputs) {
    copy->given_inputs.push_back({copy->text.emplace_back(input.name), input.tensor});
  }
  for (const WantedOutput& output : request.wanted_outputs) {
    // Not the classes: they are made when an answer is written. Nor the client's memory.
    copy->wanted_outputs.push_back({copy->text.emplace_back(output.name), 0, {}});
  }
  copy->parameters = request.parameters;
  copy->sequence_id = request.sequence_id;
  copy->sequence_name = request.sequence_name;
  copy->sequence_start = request.sequence_start;
  copy->sequence_end = request.sequence_end;
  copy->priority = request.priority;
  copy->timeout_us = request.timeout_us;
  copy->deadline_ns = request.deadline_ns;
  copy->timestamps.received_ns = request.timestamps.received_ns;
  copy->body = request.body;
  return copy;
}

}  // namespace naiad
