#pragma once

#include <regex>
#include <string>
#include <string_view>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// Which header fields of a request its model sees, as string parameters: those whose name a pattern is found
// in, whatever their case (--http-header-forward-pattern). Reading it is thread-safe.
class HeaderForward {
 public:
  // No field.
  HeaderForward() = default;
  // ECMAScript's regular expressions; "(?i)" and "(?-i)" in front are read. Empty: no field. Throws
  // Error(kInvalidArgument) for what is not one.
  explicit HeaderForward(const std::string& pattern);

  bool forwards_any() const { return !pattern_.empty(); }
  bool matches(std::string_view name) const;
  // Adds the field to the request's parameters where it matches; kInvalidArgument for a name that has a
  // meaning of its own.
  Status add(std::string_view name, std::string_view value, Request& request) const;

 private:
  // Of longer names none matches: the library's search is recursive.
  static constexpr std::size_t kMaxNameBytes = 256;

  std::string pattern_;
  std::regex regex_;
};

}  // namespace naiad
