#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/api_group.h"

namespace naiad {

// The routes of a protocol: which paths there are, and what asking for one means. The one place that says
// so; what is not in it is of ApiGroup::kUnknown. Reading it is thread-safe.
class RouteTable {
 public:
  struct Method {
    std::string name;  // "GET"
    bool changes = false;
  };
  struct Row {
    // "/v2/models/{name}/versions/{version}/infer": a segment in braces stands for any that is not empty,
    // {version} for a number or a label, {*} as the last one for all that is left.
    std::string path;
    ApiGroup group = ApiGroup::kUnknown;
    std::vector<Method> methods;
  };

  RouteTable() = default;
  // Throws Error(kInvalidArgument) for a path that does not begin with a slash.
  explicit RouteTable(std::vector<Row> rows);

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  // The first row whose path it is, kNone without one; the query is not looked at. `names`: what stands for
  // the segments in braces, in their order, as it is written.
  std::size_t find(std::string_view path, std::vector<std::string_view>& names) const;
  // What a method of that path asks for; one that the row does not have asks for the most that it has.
  Asked asked(std::string_view path, std::string_view method) const;

 private:
  struct Segment {
    enum class Kind : unsigned char { kText, kName, kVersion, kRest };
    Kind kind = Kind::kText;
    std::string text;

    bool matches(std::string_view given) const;
  };
  struct Pattern {
    std::vector<Segment> segments;
    ApiGroup group;
    std::vector<Method> methods;

    bool matches(std::string_view path, std::vector<std::string_view>* names) const;
  };

  std::size_t find(std::string_view path, std::vector<std::string_view>* names) const;

  std::vector<Pattern> patterns_;
};

}  // namespace naiad
