#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// The most parameters, inputs and requested outputs that one request may carry: each costs far more memory
// than it takes on the wire.
constexpr std::size_t kMaxParameters = 1024;
constexpr std::size_t kMaxTensors = 4096;
// The most dimensions of a shape from the wire; numpy has 64.
constexpr std::size_t kMaxRank = 64;

// Gives a request-level parameter its meaning, the same for both protocols: those that Triton reserves
// (sequence_id, priority, ...) become fields of the request, keys that start with "triton_" are refused, all
// others are kept for the model. A parameter that is given again replaces the earlier one, by a search: the
// caller bounds its calls by kMaxParameters. Any thread.
Status set_request_parameter(std::string_view name, ParameterValue value, Request& request);

// Whether a request-level parameter of that name has a meaning of its own. Any thread.
bool is_reserved_parameter(std::string_view name);

// What Triton answers to a parameter that is neither a number, a bool nor a string. Any thread.
Status parameter_type_error(std::string_view name);

// The number of classes in a requested output's parameter "classification". Any thread.
Status set_num_classes(const ParameterValue& value, WantedOutput& output);

// The refusal of more of `what` ("inputs") than `limit`. Any thread.
Status too_many(std::string_view what, std::size_t limit);

// Refuses an input or a requested output that is named twice, in n log n. Any thread.
Status check_distinct_names(const Request& request);

}  // namespace naiad
