#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/quoted.h"
#include "protocol/json_tensor.h"
#include "protocol/json_writer.h"
#include "protocol/output_form.h"
#include "protocol/v2_http.h"

namespace naiad {
namespace {

Status append_name(std::string& text, std::string_view what, std::string_view name) {
  if (append_json_string(text, name)) return {};
  return {Code::kInternal, std::string(what) + " is not valid UTF-8"};
}

Status append_parameter(std::string& text, const Parameter& parameter) {
  if (Status status = append_name(text, "a response parameter's name", parameter.name); !status.ok())
    return status;
  text += ':';
  return std::visit(
      [&](const auto& value) -> Status {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, bool>) {
          text += value ? "true" : "false";
        } else if constexpr (std::is_same_v<Value, double>) {
          append_json_double(text, value);
        } else if constexpr (std::is_same_v<Value, std::string>) {
          return append_name(text, "a response parameter", value);
        } else {
          append_json_integer(text, value);
        }
        return {};
      },
      parameter.value);
}

Status append_head(std::string& text, const Request& request, const Response& response) {
  text += '{';
  if (!request.id.empty()) {
    text += "\"id\":";
    if (Status status = append_name(text, "the request's id", request.id); !status.ok()) return status;
    text += ',';
  }
  text += "\"model_name\":";
  if (Status status = append_name(text, "the model's name", request.spec->name); !status.ok()) return status;
  text += ",\"model_version\":\"";
  append_json_integer(text, request.spec->version);
  text += '"';
  if (response.parameters.empty()) return {};
  text += ",\"parameters\":{";
  for (std::size_t i = 0; i < response.parameters.size(); ++i) {
    if (i != 0) text += ',';
    if (Status status = append_parameter(text, response.parameters[i]); !status.ok()) return status;
  }
  text += '}';
  return {};
}

Status append_output(std::string& text, const OutputForm& form) {
  text += "{\"name\":";
  if (Status status = append_name(text, "an output's name", form.name); !status.ok()) return status;
  text += ",\"datatype\":\"";
  text += dtype_name(form.tensor.dtype);
  text += "\",\"shape\":[";
  for (std::size_t i = 0; i < form.tensor.shape.rank(); ++i) {
    if (i != 0) text += ',';
    append_json_integer(text, form.tensor.shape[i]);
  }
  text += ']';
  if (form.binary) {
    text += ",\"parameters\":{\"binary_data_size\":";
    append_json_integer(text, form.tensor.size_bytes);
    text += "}}";
    return {};
  }
  if (form.shared != nullptr) {
    text += '}';
    return {};
  }
  text += ",\"data\":";
  Status status = append_json_tensor(text, form.name, form.tensor);
  text += '}';
  return status;
}

}  // namespace

Status encode_v2_http(const Request& request, const Response& response, WireMessage& message,
                      V2HttpHead& head) {
  if (!response.status.ok()) return response.status;
  std::vector<OutputForm> forms;
  if (Status status = make_output_forms(request, response, forms); !status.ok()) return status;
  if (Status status = write_shared_outputs(forms); !status.ok()) return status;
  std::string& text = message.text();
  text.reserve(text.size() + 160 + 128 * forms.size());
  const std::size_t start = text.size();
  if (Status status = append_head(text, request, response); !status.ok()) return status;
  text += ",\"outputs\":[";
  std::size_t binary_bytes = 0;
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (i != 0) text += ',';
    if (Status status = append_output(text, forms[i]); !status.ok()) return status;
    if (forms[i].binary) binary_bytes += forms[i].tensor.size_bytes;
  }
  text += "]}";
  // Without a tail the response is plain JSON and has no header of its own, as Triton's.
  head.json_size_bytes.reset();
  if (binary_bytes != 0) head.json_size_bytes = text.size() - start;
  message.end_text();
  for (const OutputForm& form : forms) {
    if (!form.binary) continue;
    if (form.classes.empty()) {
      message.append_view(form.tensor.bytes());
    } else {
      text += form.classes;  // they live no longer than this call: copied, unlike a tensor
    }
  }
  message.end_text();
  return {};
}

}  // namespace naiad
