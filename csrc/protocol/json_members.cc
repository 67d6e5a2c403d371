#include "protocol/json_members.h"

#include <type_traits>
#include <variant>

#include "protocol/json_writer.h"

namespace naiad {

Status append_json_name(std::string& text, std::string_view what, std::string_view name) {
  if (append_json_string(text, name)) return {};
  return {Code::kInternal, std::string(what) + " is not valid UTF-8"};
}

Status append_json_parameter(std::string& text, const Parameter& parameter) {
  Status named = append_json_name(text, "a response parameter's name", parameter.name);
  if (!named.ok()) return named;
  text += ':';
  return std::visit(
      [&](const auto& value) -> Status {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, bool>) {
          text += value ? "true" : "false";
        } else if constexpr (std::is_same_v<Value, double>) {
          append_json_double(text, value);
        } else if constexpr (std::is_same_v<Value, std::string>) {
          return append_json_name(text, "a response parameter", value);
        } else {
          append_json_integer(text, value);
        }
        return {};
      },
      parameter.value);
}

Status append_json_model(std::string& text, const Request& request) {
  text += '{';
  if (!request.id.empty()) {
    text += "\"id\":";
    if (Status status = append_json_name(text, "the request's id", request.id); !status.ok()) return status;
    text += ',';
  }
  text += "\"model_name\":";
  Status status = append_json_name(text, "the model's name", request.spec->name);
  if (!status.ok()) return status;
  text += ",\"model_version\":\"";
  append_json_integer(text, request.spec->version);
  text += '"';
  return {};
}

}  // namespace naiad
