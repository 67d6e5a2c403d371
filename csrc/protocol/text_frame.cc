#include "protocol/text_frame.h"

#include <array>
#include <utility>

#include "protocol/json_reader.h"

namespace naiad {
namespace {

constexpr std::size_t kMaxDepth = 2;

constexpr std::array<std::pair<std::string_view, std::string TextFrame::*>, 10> kTexts{{
    {"model", &TextFrame::model},
    {"opening", &TextFrame::opening},
    {"before_text", &TextFrame::before_text},
    {"after_text", &TextFrame::after_text},
    {"before_end_text", &TextFrame::before_end_text},
    {"before_reason", &TextFrame::before_reason},
    {"after_reason", &TextFrame::after_reason},
    {"before_usage", &TextFrame::before_usage},
    {"after_usage", &TextFrame::after_usage},
    {"closing", &TextFrame::closing},
}};
constexpr std::array<std::pair<std::string_view, bool TextFrame::*>, 2> kSwitches{{
    {"ends_with_text", &TextFrame::ends_with_text},
    {"has_empty", &TextFrame::has_empty},
}};

template <typename Members>
auto member_of(const Members& members, std::string_view key) {
  for (const auto& [name, member] : members) {
    if (name == key) return member;
  }
  return decltype(members.front().second){};
}

bool read_member(JsonReader& reader, std::string_view key, TextFrame& frame) {
  if (const auto text = member_of(kTexts, key)) {
    std::string_view value;
    if (!reader.read_string(value)) return false;
    frame.*text = value;
    return true;
  }
  const auto flag = member_of(kSwitches, key);
  return flag != nullptr && reader.read_bool(frame.*flag);
}

}  // namespace

Status read_text_frame(std::string_view json, TextFrame& frame) {
  TextStore unescaped;
  JsonReader reader(json, 0, kMaxDepth, unescaped);
  std::string_view key;
  bool is_whole = reader.enter_object();
  while (is_whole && reader.next_key(key)) is_whole = read_member(reader, key, frame);
  if (is_whole && !reader.failed() && reader.at_end() && !frame.model.empty()) return {};
  return {Code::kInternal, "the control plane has given a frame that cannot be read"};
}

}  // namespace naiad
