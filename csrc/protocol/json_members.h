#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// Members of the JSON objects that answers consist of. kInternal when something that a model gave is not
// UTF-8. Any thread.

// A quoted string; `what` it is, for the message.
Status append_json_name(std::string& text, std::string_view what, std::string_view name);
// "name":value of a response parameter.
Status append_json_parameter(std::string& text, const Parameter& parameter);
// The start of an answer: {"id":..,"model_name":..,"model_version":..
Status append_json_model(std::string& text, const Request& request);

}  // namespace naiad
