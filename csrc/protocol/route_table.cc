#include "protocol/route_table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "protocol/v2_route.h"

namespace naiad {
bool RouteTable::Segment::matches(std::string_view given) const {
  if (kind == Kind::kText) return given == text;
  if (given.empty()) return false;
  return kind == Kind::kName || is_version(given);
}

bool RouteTable::Pattern::matches(std::string_view path, std::vector<std::string_view>* names) const {
  if (names != nullptr) names->clear();
  for (const Segment& segment : segments) {
    if (path.empty() || path.front() != '/') return false;
    if (segment.kind == Segment::Kind::kRest) return path.size() > 1;
    path.remove_prefix(1);
    const std::string_view given = take_segment(path);
    if (!segment.matches(given)) return false;
    if (names != nullptr && segment.kind != Segment::Kind::kText) names->push_back(given);
  }
  return path.empty();
}

RouteTable::RouteTable(std::vector<Row> rows) {
  for (Row& row : rows) {
    Pattern pattern{{}, row.group, std::move(row.methods)};
    std::string_view rest = row.path;
    if (rest.empty() || rest.front() != '/') {
      throw Error(Code::kInvalidArgument,
                  "the path of a route should begin with a slash: '" + row.path + "'");
    }
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const std::string_view text = take_segment(rest);
      const bool named = text.size() > 1 && text.front() == '{' && text.back() == '}';
      const auto kind = !named                ? Segment::Kind::kText
                        : text == "{version}" ? Segment::Kind::kVersion
                        : text == "{*}"       ? Segment::Kind::kRest
                                              : Segment::Kind::kName;
      pattern.segments.push_back({kind, std::string(text)});
    }
    patterns_.push_back(std::move(pattern));
  }
}

std::size_t RouteTable::find(std::string_view path, std::vector<std::string_view>* names) const {
  path = path.substr(0, path.find('?'));
  for (std::size_t row = 0; row < patterns_.size(); ++row) {
    if (patterns_[row].matches(path, names)) return row;
  }
  return kNone;
}

std::size_t RouteTable::find(std::string_view path, std::vector<std::string_view>& names) const {
  return find(path, &names);
}

Asked RouteTable::asked(std::string_view path, std::string_view method) const {
  const std::size_t row = find(path, nullptr);
  if (row == kNone) return {};
  const Pattern& pattern = patterns_[row];
  const auto found = std::ranges::find(pattern.methods, method, &Method::name);
  if (found != pattern.methods.end()) return {pattern.group, found->changes};
  return {pattern.group, std::ranges::any_of(pattern.methods, &Method::changes)};
}

}  // namespace naiad
