#include "execute/worker_wire.h"

#include <utility>

namespace naiad {
namespace {

constexpr std::size_t kMaxRank = 64;

void write_shape(MessageWriter& message, const Shape& shape) {
  message.put(static_cast<std::uint32_t>(shape.rank()));
  for (const std::int64_t dim : shape) message.put(dim);
}

Shape read_shape(MessageReader& message) {
  const auto rank = message.get<std::uint32_t>();
  if (rank > kMaxRank) MessageReader::malformed();
  Shape shape;
  for (std::uint32_t i = 0; i < rank; ++i) shape.push_back(message.get<std::int64_t>());
  return shape;
}

DataType read_dtype(MessageReader& message) {
  const auto value = message.get<std::uint8_t>();
  if (value > static_cast<std::uint8_t>(kLastDataType)) MessageReader::malformed();
  return static_cast<DataType>(value);
}

void write_tensor_specs(MessageWriter& message, const std::vector<TensorSpec>& specs) {
  message.put(static_cast<std::uint32_t>(specs.size()));
  for (const TensorSpec& spec : specs) {
    message.put(spec.name);
    message.put(static_cast<std::uint8_t>(spec.dtype));
    write_shape(message, spec.dims);
    message.put(static_cast<std::uint8_t>(spec.optional));
    message.put(static_cast<std::uint8_t>(spec.internal));
    message.put(static_cast<std::uint8_t>(spec.ragged));
    message.put(static_cast<std::uint8_t>(spec.generated));
    message.put(static_cast<std::uint8_t>(spec.shape_values));
  }
}

std::vector<TensorSpec> read_tensor_specs(MessageReader& message) {
  std::vector<TensorSpec> specs(message.get_count());
  for (TensorSpec& spec : specs) {
    spec.name = message.get_text();
    spec.dtype = read_dtype(message);
    spec.dims = read_shape(message);
    spec.optional = message.get_bool();
    spec.internal = message.get_bool();
    spec.ragged = message.get_bool();
    spec.generated = message.get_bool();
    spec.shape_values = message.get_bool();
  }
  return specs;
}

void write_ragged(MessageWriter& message, const ModelSpec& spec) {
  message.put(static_cast<std::uint32_t>(spec.batch_inputs.size()));
  for (const BatchInput& made : spec.batch_inputs) {
    message.put(static_cast<std::uint8_t>(made.kind));
    message.put(static_cast<std::uint32_t>(made.input));
    message.put(static_cast<std::uint32_t>(made.source));
  }
  message.put(static_cast<std::uint32_t>(spec.batch_outputs.size()));
  for (const BatchOutput& cut : spec.batch_outputs) {
    message.put(static_cast<std::uint32_t>(cut.output));
    message.put(static_cast<std::uint32_t>(cut.source));
  }
}

std::size_t read_position(MessageReader& message, const std::vector<TensorSpec>& among) {
  const auto position = message.get<std::uint32_t>();
  if (position >= among.size()) MessageReader::malformed();
  return position;
}

void read_ragged(MessageReader& message, ModelSpec& spec) {
  spec.batch_inputs.resize(message.get_count());
  for (BatchInput& made : spec.batch_inputs) {
    const auto kind = message.get<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(BatchInputKind::kItemShapeFlatten)) MessageReader::malformed();
    made.kind = static_cast<BatchInputKind>(kind);
    made.input = read_position(message, spec.inputs);
    made.source = read_position(message, spec.inputs);
  }
  spec.batch_outputs.resize(message.get_count());
  for (BatchOutput& cut : spec.batch_outputs) {
    cut.output = read_position(message, spec.outputs);
    cut.source = read_position(message, spec.inputs);
  }
}

void write_sequence(MessageWriter& message, const Request& request) {
  message.put(request.sequence_id);
  message.put(request.sequence_name);
  message.put(static_cast<std::uint8_t>(request.sequence_start));
  message.put(static_cast<std::uint8_t>(request.sequence_end));
}

void read_sequence(MessageReader& message, Request& request) {
  request.sequence_id = message.get<std::uint64_t>();
  request.sequence_name = message.get_text();
  request.sequence_start = message.get_bool();
  request.sequence_end = message.get_bool();
}

}  // namespace

void write_tensor(MessageWriter& message, const Tensor& tensor, const Placing& place) {
  message.put(static_cast<std::uint8_t>(tensor.dtype));
  if (!tensor.present()) return;
  write_shape(message, tensor.shape);
  message.put(static_cast<std::uint64_t>(tensor.size_bytes));
  const TensorPlace at = place(tensor);
  message.put(at.arena);
  message.put(at.offset);
  message.put(at.slot);
}

Tensor read_tensor(MessageReader& message, const Finding& find) {
  const DataType dtype = read_dtype(message);
  if (dtype == DataType::kInvalid) return {};
  Shape shape = read_shape(message);
  const auto size_bytes = static_cast<std::size_t>(message.get<std::uint64_t>());
  const auto count = shape.num_elements();
  if (!count) MessageReader::malformed();
  // Whoever makes an array of it believes the shape.
  if (dtype == DataType::kBytes && *count > size_bytes / sizeof(std::uint32_t)) MessageReader::malformed();
  if (dtype != DataType::kBytes && shape.size_bytes(dtype) != size_bytes) MessageReader::malformed();
  TensorPlace place;
  place.arena = static_cast<ArenaName>(message.get<std::uint8_t>());
  place.offset = message.get<std::uint64_t>();
  place.slot = message.get<std::uint32_t>();
  Tensor tensor = find(place, size_bytes);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

void write_spec(MessageWriter& message, const ModelSpec& spec) {
  message.put(spec.name);
  message.put(spec.version);
  message.put(spec.max_batch_size);
  message.put(static_cast<std::uint8_t>(spec.decoupled));
  message.put(static_cast<std::uint8_t>(spec.sequence && spec.sequence->iterative));
  write_tensor_specs(message, spec.inputs);
  write_tensor_specs(message, spec.outputs);
  write_ragged(message, spec);
}

ModelSpec read_spec(MessageReader& message) {
  ModelSpec spec;
  spec.name = message.get_text();
  spec.version = message.get<std::int64_t>();
  spec.max_batch_size = message.get<std::uint32_t>();
  spec.decoupled = message.get_bool();
  if (message.get_bool()) {
    SequenceSpec sequence;
    sequence.iterative = true;
    spec.sequence = std::make_shared<const SequenceSpec>(std::move(sequence));
  }
  spec.inputs = read_tensor_specs(message);
  spec.outputs = read_tensor_specs(message);
  read_ragged(message, spec);
  return spec;
}

void write_parameters(MessageWriter& message, const Parameters& parameters) {
  message.put(static_cast<std::uint32_t>(parameters.size()));
  for (const Parameter& parameter : parameters) {
    message.put(parameter.name);
    message.put(static_cast<std::uint8_t>(parameter.value.index()));
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, bool>) {
            message.put(static_cast<std::uint8_t>(value));
          } else {
            message.put(value);
          }
        },
        parameter.value);
  }
}

Parameters read_parameters(MessageReader& message) {
  Parameters parameters(message.get_count());
  for (Parameter& parameter : parameters) {
    parameter.name = message.get_text();
    switch (message.get<std::uint8_t>()) {
      case 0:
        parameter.value = message.get_bool();
        break;
      case 1:
        parameter.value = message.get<std::int64_t>();
        break;
      case 2:
        parameter.value = message.get<std::uint64_t>();
        break;
      case 3:
        parameter.value = message.get<double>();
        break;
      case 4:
        parameter.value = std::string(message.get_text());
        break;
      default:
        MessageReader::malformed();
    }
  }
  return parameters;
}

void write_request(MessageWriter& message, const Request& request, const Placing& place) {
  message.put(request.id);
  message.put(request.trace_number);
  message.put(request.trace_parent);
  message.put(request.trace_state);
  write_parameters(message, request.parameters);
  write_sequence(message, request);
  message.put(request.priority);
  message.put(request.timeout_us);
  message.put(request.num_rows);
  message.put(static_cast<std::uint32_t>(request.wanted.size()));
  for (const bool wanted : request.wanted) message.put(static_cast<std::uint8_t>(wanted));
  message.put(static_cast<std::uint32_t>(request.inputs.size()));
  for (const Tensor& input : request.inputs) write_tensor(message, input, place);
}

void read_request(MessageReader& message, Request& request, const Finding& find) {
  request.id = message.get_text();
  request.trace_number = message.get<std::uint64_t>();
  request.trace_parent = message.get_text();
  request.trace_state = message.get_text();
  request.parameters = read_parameters(message);
  read_sequence(message, request);
  request.priority = message.get<std::uint64_t>();
  request.timeout_us = message.get<std::uint64_t>();
  request.num_rows = message.get<std::uint32_t>();
  request.wanted.resize(message.get_count());
  for (std::size_t i = 0; i < request.wanted.size(); ++i) request.wanted[i] = message.get_bool();
  request.inputs.resize(message.get_count());
  for (Tensor& input : request.inputs) input = read_tensor(message, find);
}

void write_response(MessageWriter& message, const Response& response, const Placing& place) {
  message.put(static_cast<std::uint8_t>(response.status.code()));
  message.put(response.status.message());
  message.put(static_cast<std::uint8_t>(response.is_empty));
  message.put(static_cast<std::uint8_t>(response.reschedule));
  write_parameters(message, response.parameters);
  message.put(static_cast<std::uint32_t>(response.outputs.size()));
  for (const OutputTensor& output : response.outputs) {
    message.put(static_cast<std::uint32_t>(output.index));
    write_tensor(message, output.tensor, place);
  }
}

Response read_response(MessageReader& message, std::size_t num_outputs, const Finding& find) {
  Response response;
  const auto code = message.get<std::uint8_t>();
  const std::string_view text = message.get_text();
  if (code > static_cast<std::uint8_t>(Code::kUnknown)) MessageReader::malformed();
  if (code != 0) response.status = {static_cast<Code>(code), std::string(text)};
  response.is_empty = message.get_bool();
  response.reschedule = message.get_bool();
  response.parameters = read_parameters(message);
  response.outputs.resize(message.get_count());
  for (OutputTensor& output : response.outputs) {
    output.index = message.get<std::uint32_t>();
    if (output.index >= num_outputs) MessageReader::malformed();
    output.tensor = read_tensor(message, find);
    if (!output.tensor.present()) MessageReader::malformed();
  }
  return response;
}

void write_call(MessageWriter& message, const Request& request, const Placing& place) {
  message.put(request.model_name);
  message.put(request.model_version);
  message.put(request.id);
  write_parameters(message, request.parameters);
  write_sequence(message, request);
  message.put(request.timeout_us);
  message.put(request.trace_number);
  message.put(static_cast<std::uint32_t>(request.given_inputs.size()));
  for (const GivenInput& input : request.given_inputs) {
    message.put(input.name);
    write_tensor(message, input.tensor, place);
  }
  message.put(static_cast<std::uint32_t>(request.wanted_outputs.size()));
  for (const WantedOutput& output : request.wanted_outputs) message.put(output.name);
}

void read_call(MessageReader& message, Request& request, const Finding& find) {
  const auto keep = [&](std::string_view text) -> std::string_view {
    return request.text.emplace_back(std::string(text));
  };
  request.model_name = keep(message.get_text());
  request.model_version = keep(message.get_text());
  request.id = message.get_text();
  request.parameters = read_parameters(message);
  read_sequence(message, request);
  request.timeout_us = message.get<std::uint64_t>();
  request.trace_number = message.get<std::uint64_t>();
  request.given_inputs.resize(message.get_count());
  for (GivenInput& input : request.given_inputs) {
    input.name = keep(message.get_text());
    input.tensor = read_tensor(message, find);
    if (!input.tensor.present()) MessageReader::malformed();
  }
  request.wanted_outputs.resize(message.get_count());
  for (WantedOutput& output : request.wanted_outputs) output.name = keep(message.get_text());
}

}  // namespace naiad
