#include "protocol/header_forward.h"

#include "base/quoted.h"
#include "protocol/request_parameter.h"

namespace naiad {

HeaderForward::HeaderForward(const std::string& pattern) : pattern_(pattern) {
  if (pattern.empty()) return;
  std::string_view text = pattern;
  auto flags = std::regex::ECMAScript | std::regex::optimize | std::regex::icase;
  constexpr std::string_view kIgnoreCase = "(?i)";
  constexpr std::string_view kKeepCase = "(?-i)";
  if (text.starts_with(kIgnoreCase)) text.remove_prefix(kIgnoreCase.size());
  if (text.starts_with(kKeepCase)) {
    text.remove_prefix(kKeepCase.size());
    flags &= ~std::regex::icase;
  }
  try {
    regex_.assign(text.begin(), text.end(), flags);
  } catch (const std::regex_error& error) {
    throw Error(Code::kInvalidArgument, "the header forward pattern " + quoted(pattern) +
                                            " is no regular expression: " + error.what());
  }
}

bool HeaderForward::matches(std::string_view name) const {
  return forwards_any() && name.size() <= kMaxNameBytes &&
         std::regex_search(name.begin(), name.end(), regex_);
}

Status HeaderForward::add(std::string_view name, std::string_view value, Request& request) const {
  if (!matches(name)) return {};
  if (is_reserved_parameter(name)) {
    return {Code::kInvalidArgument,
            "header " + quoted(name) +
                " can not be forwarded: a parameter of this name has a meaning of its own"};
  }
  if (request.parameters.size() >= kMaxParameters) return too_many("parameters", kMaxParameters);
  for (Parameter& parameter : request.parameters) {
    if (parameter.name == name) {
      parameter.value = std::string(value);
      return {};
    }
  }
  request.parameters.push_back({std::string(name), std::string(value)});
  return {};
}

}  // namespace naiad
