#include <algorithm>
#include <string>
#include <vector>

#include "protocol/generate.h"
#include "protocol/json_members.h"
#include "protocol/json_tensor.h"
#include "protocol/json_writer.h"
#include "protocol/output_form.h"

namespace naiad {
namespace {

// Whether another member of the object has the name of this parameter, or an earlier one has: names are
// members once, and what is the protocol's or an output goes before.
bool taken(const std::vector<OutputForm>& forms, const Parameters& parameters, std::size_t index) {
  const std::string& name = parameters[index].name;
  const auto has_name = [&](const auto& each) { return each.name == name; };
  return name == "id" || name == "model_name" || name == "model_version" ||
         std::ranges::any_of(forms, has_name) ||
         std::any_of(parameters.begin(), parameters.begin() + static_cast<std::ptrdiff_t>(index), has_name);
}

}  // namespace

Status append_generate_response(std::string& text, const Request& request, const Response& response) {
  if (!response.status.ok()) return response.status;
  std::vector<OutputForm> forms;
  if (Status status = make_output_forms(request, response, forms); !status.ok()) return status;
  const std::size_t start = text.size();
  Status status = append_json_model(text, request);
  for (std::size_t i = 0; i < response.parameters.size() && status.ok(); ++i) {
    if (taken(forms, response.parameters, i)) continue;
    text += ',';
    status = append_json_parameter(text, response.parameters[i]);
  }
  for (std::size_t i = 0; i < forms.size() && status.ok(); ++i) {
    text += ',';
    status = append_json_name(text, "an output's name", forms[i].name);
    if (!status.ok()) break;
    text += ':';
    const std::size_t value_at = text.size();
    status = append_json_tensor(text, forms[i].name, forms[i].tensor);
    if (forms[i].tensor.shape.num_elements() == std::size_t{1}) {
      text.erase(value_at, 1);
      text.pop_back();
    }
  }
  if (!status.ok()) {
    text.resize(start);
    return status;
  }
  text += '}';
  return {};
}

}  // namespace naiad
