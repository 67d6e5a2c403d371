#include "engine/admission.h"

#include <algorithm>
#include <string>

#include "engine/split_run.h"
#include "execute/rows.h"

namespace naiad {
namespace {

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

std::string quoted(std::string_view name) {
  return "'" + std::string(name) + "'";
}

std::string of_model(const ModelSpec& spec) {
  return " for model " + quoted(spec.name);
}

std::string quoted_list(const std::vector<std::string_view>& names) {
  std::string text = "[";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) text += ',';
    text += quoted(names[i]);
  }
  return text + "]";
}

// What is wrong with the set of inputs: too few, or not the right ones.
Status wrong_inputs(const ModelSpec& spec, const Request& request) {
  std::vector<std::string_view> given;
  for (const GivenInput& input : request.given_inputs) given.push_back(input.name);
  std::vector<std::string_view> missing;
  std::size_t num_inputs = 0;
  std::size_t num_required = 0;
  for (const TensorSpec& input : spec.inputs) {
    if (input.internal) continue;
    ++num_inputs;
    if (input.optional) continue;
    ++num_required;
    if (std::ranges::find(given, input.name) == given.end()) missing.push_back(input.name);
  }
  std::string text;
  if (num_required == num_inputs) {
    text = "expected " + std::to_string(num_inputs) + " inputs but got ";
  } else {
    text = "expected number of inputs between " + std::to_string(num_required) + " and " +
           std::to_string(num_inputs) + " but got ";
  }
  text += std::to_string(given.size()) + " inputs" + of_model(spec) + ". Got input(s) " + quoted_list(given);
  if (!missing.empty()) {
    text +=
        ", but missing required input(s) " + quoted_list(missing) + ". Please provide all required input(s).";
  } else {
    text += '.';
  }
  return invalid(std::move(text));
}

// Whether an input's first dimension is that of the batch.
bool has_rows(const ModelSpec& spec, const TensorSpec& input) {
  return spec.batches() && !input.shape_values;
}

// The shape that the configuration asks for, batch dimension included.
Shape expected_shape(const ModelSpec& spec, const TensorSpec& input) {
  if (!has_rows(spec, input)) return input.dims;
  Shape expected{-1};
  for (std::int64_t dim : input.dims) expected.push_back(dim);
  return expected;
}

bool shape_fits(const ModelSpec& spec, const TensorSpec& input, const Shape& shape) {
  const std::size_t lead = has_rows(spec, input) ? 1 : 0;
  if (shape.rank() != input.dims.rank() + lead) return false;
  for (std::size_t i = 0; i < input.dims.rank(); ++i) {
    if (input.dims[i] >= 0 && input.dims[i] != shape[lead + i]) return false;
  }
  return true;
}

Status wrong_shape(const ModelSpec& spec, const TensorSpec& input, const Shape& got) {
  std::string text = "unexpected shape for input " + quoted(input.name) + of_model(spec) + ". Expected " +
                     expected_shape(spec, input).to_string() + ", got " + got.to_string() + ".";
  if (has_rows(spec, input)) {
    text +=
        " NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be "
        "prepended to each input shape. If you want to specify the full shape including the batch dim in "
        "your "
        "input dims config, try setting max_batch_size to zero. See the model configuration docs for more "
        "info "
        "on max_batch_size.";
  }
  return invalid(std::move(text));
}

// How many rows a request may have.
std::int64_t max_rows(const ModelSpec& spec) {
  if (!spec.splits_oversize) return spec.max_batch_size;
  return spec.max_batch_size * static_cast<std::int64_t>(std::min(SplitRun::kMaxParts, spec.max_queue_size));
}

// `first`: whether it is to say how many rows there are.
Status admit_input(const ModelSpec& spec, std::size_t index, Tensor tensor, bool first, Request& request) {
  const TensorSpec& input = spec.inputs[index];
  if (tensor.dtype != input.dtype) {
    return invalid("inference input " + quoted(input.name) + " data-type is " +
                   quoted(dtype_name(tensor.dtype)) + ", but model " + quoted(spec.name) + " expects " +
                   quoted(dtype_name(input.dtype)));
  }
  if (!shape_fits(spec, input, tensor.shape)) return wrong_shape(spec, input, tensor.shape);
  if (has_rows(spec, input)) {
    const std::int64_t rows = tensor.shape[0];
    if (rows < 1 || rows > max_rows(spec)) {
      return invalid("inference request batch-size must be " + std::string(rows < 1 ? ">= 1" : "<= ") +
                     (rows < 1 ? "" : std::to_string(max_rows(spec))) + " for " + quoted(spec.name));
    }
    if (first) {
      request.num_rows = static_cast<std::uint32_t>(rows);
    } else if (request.num_rows != static_cast<std::uint32_t>(rows)) {
      return invalid("input " + quoted(input.name) + " batch size does not match other inputs for " +
                     quoted(spec.name));
    }
  }
  if (input.reshape) {
    try {
      tensor.shape = apply_reshape(input, tensor.shape, has_rows(spec, input));
    } catch (const Error& error) {
      return error.status();
    }
  }
  request.inputs[index] = std::move(tensor);
  return {};
}

Status admit_inputs(const ModelSpec& spec, Request& request) {
  request.inputs.assign(spec.inputs.size(), Tensor{});
  request.num_rows = 1;
  bool first = true;
  for (GivenInput& given : request.given_inputs) {
    const auto index = spec.input_index(given.name);
    if (!index || spec.inputs[*index].internal) {
      // A wrong count is the better explanation of the two.
      const auto num_inputs = std::ranges::count(spec.inputs, false, &TensorSpec::internal);
      if (std::ssize(request.given_inputs) > num_inputs) return wrong_inputs(spec, request);
      return invalid("unexpected inference input " + quoted(given.name) + of_model(spec));
    }
    if (request.inputs[*index].present()) {
      return invalid("input " + quoted(given.name) + " already exists in request");
    }
    if (Status status = admit_input(spec, *index, std::move(given.tensor), first, request); !status.ok()) {
      return status;
    }
    if (!spec.inputs[*index].shape_values) first = false;
  }
  for (std::size_t i = 0; i < spec.inputs.size(); ++i) {
    const TensorSpec& input = spec.inputs[i];
    if (!request.inputs[i].present() && !input.optional && !input.internal)
      return wrong_inputs(spec, request);
  }
  return {};
}

Status admit_outputs(const ModelSpec& spec, Request& request) {
  request.wanted.resize(spec.outputs.size());
  request.stays_on_gpu.clear();
  for (std::size_t i = 0; i < spec.outputs.size(); ++i) {
    request.wanted[i] = request.wanted_outputs.empty() && !spec.outputs[i].internal;
  }
  for (const WantedOutput& wanted : request.wanted_outputs) {
    const auto index = spec.output_index(wanted.name);
    if (!index || spec.outputs[*index].internal)
      return invalid("unexpected inference output " + quoted(wanted.name) + of_model(spec));
    if (wanted.stays_on_gpu || !request.stays_on_gpu.empty()) {
      request.stays_on_gpu.resize(spec.outputs.size());
      request.stays_on_gpu[*index] = wanted.stays_on_gpu && !request.wanted[*index];
    }
    request.wanted[*index] = true;
  }
  return {};
}

}  // namespace

Status admit(std::shared_ptr<const ModelSpec> spec, Request& request) {
  if (spec->decoupled && !request.refusal_of_many.empty()) {
    return {Code::kUnsupported, std::string(request.refusal_of_many)};
  }
  if (Status status = admit_inputs(*spec, request); !status.ok()) return status;
  if (Status status = admit_outputs(*spec, request); !status.ok()) return status;
  request.spec = std::move(spec);
  return {};
}

}  // namespace naiad
