#include "protocol/json_parameter.h"

#include <string>

#include "base/quoted.h"
#include "protocol/request_parameter.h"

namespace naiad {

Status read_json_parameter(JsonReader& reader, std::string_view name, ParameterValue& value) {
  const JsonReader::Kind kind = reader.peek();
  if (kind == JsonReader::Kind::kBool) {
    bool flag = false;
    if (!reader.read_bool(flag)) return reader.status();
    value = flag;
    return {};
  }
  if (kind == JsonReader::Kind::kString) {
    std::string_view text;
    if (!reader.read_string(text)) return reader.status();
    value = std::string(text);
    return {};
  }
  if (kind != JsonReader::Kind::kNumber) return parameter_type_error(name);
  JsonNumber number;
  if (!reader.read_number(number)) return reader.status();
  if (const auto integer = number.to_int64()) {
    value = *integer;
  } else if (const auto natural = number.to_uint64()) {
    value = *natural;
  } else if (const auto real = number.to_double(); real && !number.integral) {
    value = *real;
  } else {
    return {Code::kInvalidArgument,
            "parameter " + quoted(name) + " is out of range: " + std::string(number.text.substr(0, 64))};
  }
  return {};
}

}  // namespace naiad
