#include <string>
#include <string_view>
#include <vector>

#include "protocol/json_members.h"
#include "protocol/json_tensor.h"
#include "protocol/json_writer.h"
#include "protocol/output_form.h"
#include "protocol/v2_http.h"

namespace naiad {
namespace {

Status append_head(std::string& text, const Request& request, const Response& response) {
  if (Status status = append_json_model(text, request); !status.ok()) return status;
  if (response.parameters.empty()) return {};
  text += ",\"parameters\":{";
  for (std::size_t i = 0; i < response.parameters.size(); ++i) {
    if (i != 0) text += ',';
    if (Status status = append_json_parameter(text, response.parameters[i]); !status.ok()) return status;
  }
  text += '}';
  return {};
}

Status append_output(std::string& text, const OutputForm& form) {
  text += "{\"name\":";
  if (Status status = append_json_name(text, "an output's name", form.name); !status.ok()) return status;
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
