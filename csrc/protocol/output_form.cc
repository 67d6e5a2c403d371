#include "protocol/output_form.h"

#include <algorithm>
#include <span>

#include "base/quoted.h"
#include "protocol/tensor_bytes.h"

namespace naiad {
namespace {

// Whether the bytes are as many as shape and datatype say.
bool is_consistent(const Tensor& tensor) {
  const auto count = tensor.shape.num_elements();
  if (!count) return false;
  if (tensor.dtype != DataType::kBytes) return tensor.shape.size_bytes(tensor.dtype) == tensor.size_bytes;
  BytesElements elements(tensor.bytes());
  std::size_t found = 0;
  while (elements.next()) ++found;
  return found == *count && elements.rest().empty();
}

const WantedOutput* find_wanted(const Request& request, std::string_view name) {
  const auto found = std::find_if(request.wanted_outputs.begin(), request.wanted_outputs.end(),
                                  [&](const WantedOutput& wanted) { return wanted.name == name; });
  return found == request.wanted_outputs.end() ? nullptr : &*found;
}

Status make_form(const Request& request, const OutputTensor& output, OutputForm& form) {
  if (output.index >= request.spec->outputs.size()) {
    return {Code::kInternal, "the response has an output that the model does not have"};
  }
  form.spec = &request.spec->outputs[output.index];
  form.name = form.spec->name;
  const WantedOutput* wanted = find_wanted(request, form.name);
  const bool is_shared = wanted != nullptr && wanted->shared;
  const bool is_here = !output.tensor.is_on_gpu() || (is_shared && wanted->shared.is_on_gpu());
  if (!is_here || !is_consistent(output.tensor)) {
    return {Code::kInternal, "output " + quoted(form.name) + ": its " +
                                 std::to_string(output.tensor.size_bytes) + " bytes do not match datatype " +
                                 std::string(dtype_name(output.tensor.dtype)) + " and shape " +
                                 output.tensor.shape.to_string()};
  }
  form.tensor = output.tensor;
  form.binary =
      wanted == nullptr ? request.binary_by_default : wanted->binary.value_or(request.binary_by_default);
  if (is_shared) {
    form.binary = false;
    form.shared = &wanted->shared;
  }
  if (wanted == nullptr || wanted->num_classes == 0) return {};
  Classes classes;
  Status status = classify(output.tensor, *form.spec, wanted->num_classes, request.spec->batches(), classes);
  if (!status.ok()) return status;
  form.classes = std::move(classes.bytes);
  const auto bytes = std::as_bytes(std::span(form.classes));
  form.tensor = {DataType::kBytes, classes.shape, bytes.data(), bytes.size(), {}};
  return {};
}

}  // namespace

Status make_output_forms(const Request& request, const Response& response, std::vector<OutputForm>& forms) {
  forms.clear();
  forms.resize(response.outputs.size());
  for (std::size_t i = 0; i < forms.size(); ++i) {
    if (Status status = make_form(request, response.outputs[i], forms[i]); !status.ok()) return status;
  }
  return {};
}

Status write_shared_outputs(const std::vector<OutputForm>& forms) {
  for (const OutputForm& form : forms) {
    if (form.shared == nullptr || form.tensor.size_bytes <= form.shared->size_bytes()) continue;
    return {Code::kInternal, "shared memory size specified with the request for output " + quoted(form.name) +
                                 " (" + std::to_string(form.shared->size_bytes()) +
                                 " bytes) should be at least " + std::to_string(form.tensor.size_bytes) +
                                 " bytes to hold the results"};
  }
  for (const OutputForm& form : forms) {
    if (form.shared == nullptr) continue;
    if (Status status = form.shared->write(form.tensor.bytes()); !status.ok()) return status;
  }
  return {};
}

}  // namespace naiad
