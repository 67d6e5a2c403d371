#pragma once

#include <string_view>

#include "base/error.h"
#include "protocol/json_reader.h"
#include "request/parameters.h"

namespace naiad {

// Reads a parameter's value: a bool, an integer, a number or a string; kInvalidArgument for anything else.
// Any thread.
Status read_json_parameter(JsonReader& reader, std::string_view name, ParameterValue& value);

}  // namespace naiad
