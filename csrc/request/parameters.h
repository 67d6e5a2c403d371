#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace naiad {

// A request or response parameter, as KServe v2 knows them.
using ParameterValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

struct Parameter {
  std::string name;
  ParameterValue value;
};

using Parameters = std::vector<Parameter>;

// The value named `name`, or null. Any thread.
inline const ParameterValue* find_parameter(const Parameters& parameters, std::string_view name) {
  for (const Parameter& parameter : parameters) {
    if (parameter.name == name) return &parameter.value;
  }
  return nullptr;
}

}  // namespace naiad
