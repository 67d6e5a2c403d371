#include "protocol/request_parameter.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/quoted.h"

namespace naiad {
namespace {

Status wrong_type(std::string_view name, std::string_view expected) {
  return {Code::kInvalidArgument,
          "parameter " + quoted(name) + " has invalid type. It should be " + std::string(expected) + "."};
}

std::optional<std::uint64_t> as_unsigned(const ParameterValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  return std::nullopt;
}

Status set_unsigned(std::string_view name, const ParameterValue& value, std::uint64_t& field) {
  const auto number = as_unsigned(value);
  if (!number) return wrong_type(name, "an 'int' that is not negative");
  field = *number;
  return {};
}

Status set_bool(std::string_view name, const ParameterValue& value, bool& field) {
  const auto* flag = std::get_if<bool>(&value);
  if (flag == nullptr) return wrong_type(name, "'bool'");
  field = *flag;
  return {};
}

Status set_sequence_id(const ParameterValue& value, Request& request) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    request.sequence_name = *text;
    request.sequence_id = 0;
    return {};
  }
  const auto number = as_unsigned(value);
  if (!number) return wrong_type("sequence_id", "a 'string' or an 'int' that is not negative");
  request.sequence_id = *number;
  request.sequence_name.clear();
  return {};
}

Status check_distinct(std::vector<std::string_view> names, std::string_view what, std::string_view problem) {
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin == names.end()) return {};
  return {Code::kInvalidArgument, std::string(what) + " " + quoted(*twin) + " " + std::string(problem)};
}

}  // namespace

Status parameter_type_error(std::string_view name) {
  return {Code::kInvalidArgument,
          "parameter " + quoted(name) + " has invalid type. It should be either 'int', 'bool', or 'string'."};
}

Status set_request_parameter(std::string_view name, ParameterValue value, Request& request) {
  if (name == "sequence_id") return set_sequence_id(value, request);
  if (name == "sequence_start") return set_bool(name, value, request.sequence_start);
  if (name == "sequence_end") return set_bool(name, value, request.sequence_end);
  if (name == "priority") return set_unsigned(name, value, request.priority);
  if (name == "timeout") return set_unsigned(name, value, request.timeout_us);
  if (name == "binary_data_output") return set_bool(name, value, request.binary_by_default);
  if (name == "triton_enable_empty_final_response") {
    if (!std::holds_alternative<bool>(value)) return wrong_type(name, "'bool'");
    request.wants_empty_final = std::get<bool>(value);
  } else if (name.starts_with("triton_")) {
    return {
        Code::kInvalidArgument,
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified."};
  }
  for (Parameter& parameter : request.parameters) {
    if (parameter.name == name) {
      parameter.value = std::move(value);
      return {};
    }
  }
  request.parameters.push_back({std::string(name), std::move(value)});
  return {};
}

bool is_reserved_parameter(std::string_view name) {
  static constexpr std::string_view kReserved[] = {"sequence_id", "sequence_start", "sequence_end",
                                                   "priority",    "timeout",        "binary_data_output",
                                                   "headers"};
  return name.starts_with("triton_") || std::ranges::find(kReserved, name) != std::end(kReserved);
}

Status set_num_classes(const ParameterValue& value, WantedOutput& output) {
  const auto number = as_unsigned(value);
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) {
    return {Code::kInvalidArgument, "parameter 'classification' of output " + quoted(output.name) +
                                        " must be an integer from 0 to 4294967295"};
  }
  output.num_classes = static_cast<std::uint32_t>(*number);
  return {};
}

Status too_many(std::string_view what, std::size_t limit) {
  return {Code::kInvalidArgument,
          "the request has more than " + std::to_string(limit) + " " + std::string(what)};
}

Status check_distinct_names(const Request& request) {
  std::vector<std::string_view> names;
  if (request.given_inputs.size() > 1) {
    for (const GivenInput& input : request.given_inputs) names.push_back(input.name);
    Status status = check_distinct(std::move(names), "input", "already exists in request");
    if (!status.ok()) return status;
    names.clear();
  }
  if (request.wanted_outputs.size() <= 1) return {};
  for (const WantedOutput& output : request.wanted_outputs) names.push_back(output.name);
  return check_distinct(std::move(names), "output", "is requested more than once");
}

}  // namespace naiad
