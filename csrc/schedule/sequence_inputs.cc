#include "schedule/sequence_inputs.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace naiad {
namespace {

// Whether the number survives in the datatype.
bool fits(DataType dtype, std::uint64_t id) {
  switch (dtype) {
    case DataType::kInt64:
      return id <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    case DataType::kUint32:
      return id <= std::numeric_limits<std::uint32_t>::max();
    case DataType::kInt32:
      return id <= static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    default:
      return true;
  }
}

Tensor tensor_of(DataType dtype, Shape shape, const void* bytes, std::size_t size_bytes) {
  BufferRef buffer = make_heap_buffer(size_bytes);
  std::memcpy(buffer->data(), bytes, size_bytes);
  return {dtype, std::move(shape), buffer->data(), size_bytes, std::move(buffer)};
}

// Whether the client wants the output, of which the scheduler wants it in any case.
bool asks_for(const Request& request, const TensorSpec& output) {
  if (output.internal) return false;
  if (request.wanted_outputs.empty()) return true;
  const auto is_it = [&](const WantedOutput& wanted) { return wanted.name == output.name; };
  return std::ranges::any_of(request.wanted_outputs, is_it);
}

}  // namespace

SequenceInputs::SequenceInputs(const ModelSpec& model) : model_(model), spec_(*model.sequence) {}

Status SequenceInputs::check_key(const SequenceKey& key) const {
  for (const SequenceSpec::Control& control : spec_.controls) {
    if (control.kind != SequenceControl::kCorrelationId) continue;
    const TensorSpec& input = model_.inputs[control.input];
    if (input.dtype == DataType::kBytes) return {};
    if (key.name.empty() && fits(input.dtype, key.id)) return {};
    return {Code::kInvalidArgument, "correlation ID '" + key.text() +
                                        "' does not fit the sequence control '" + input.name +
                                        "' of model '" + model_.name + "', whose data-type is '" +
                                        std::string(dtype_name(input.dtype)) + "'"};
  }
  return {};
}

std::shared_ptr<Sequence> SequenceInputs::begin(SequenceKey key) const {
  auto sequence = std::make_shared<Sequence>();
  sequence->states.resize(spec_.states.size());
  for (const SequenceSpec::Control& control : spec_.controls) {
    if (control.kind == SequenceControl::kCorrelationId) {
      sequence->correlation_id = correlation_id(model_.inputs[control.input], key);
    }
  }
  sequence->key = std::move(key);
  return sequence;
}

void SequenceInputs::fill(const Sequence& sequence, Request& request) const {
  for (const SequenceSpec::Control& control : spec_.controls) {
    Tensor& input = request.inputs[control.input];
    switch (control.kind) {
      case SequenceControl::kStart:
        input = request.sequence_start ? control.when_true : control.when_false;
        break;
      case SequenceControl::kEnd:
        input = request.sequence_end ? control.when_true : control.when_false;
        break;
      case SequenceControl::kReady:
        input = control.when_true;
        break;
      case SequenceControl::kCorrelationId:
        input = sequence.correlation_id;
        break;
    }
  }
  for (std::size_t i = 0; i < spec_.states.size(); ++i) {
    const SequenceSpec::State& state = spec_.states[i];
    request.inputs[state.input] = sequence.states[i].present() ? sequence.states[i] : state.initial;
    request.wanted[state.output] = true;
  }
}

std::unique_ptr<Request> SequenceInputs::filler(const Request& like) {
  auto request = std::make_unique<Request>();
  request->is_filler = true;
  request->spec = like.spec;
  request->model_name = model_.name;
  request->timestamps = like.timestamps;
  request->wanted.resize(model_.outputs.size());
  request->inputs.resize(model_.inputs.size());
  for (std::size_t i = 0; i < model_.inputs.size(); ++i) {
    const Tensor& input = like.inputs[i];
    if (input.present()) request->inputs[i] = zeros(input.dtype, input.shape);
  }
  for (const SequenceSpec::Control& control : spec_.controls) {
    if (control.kind != SequenceControl::kCorrelationId) request->inputs[control.input] = control.when_false;
  }
  return request;
}

void SequenceInputs::keep_states(Sequence& sequence, const Request& request, Response& response) const {
  if (!response.status.ok()) return;
  for (std::size_t i = 0; i < spec_.states.size(); ++i) {
    const auto is_it = [&](const OutputTensor& output) { return output.index == spec_.states[i].output; };
    const auto found = std::ranges::find_if(response.outputs, is_it);
    if (found == response.outputs.end()) continue;
    sequence.states[i] = found->tensor;
    if (!asks_for(request, model_.outputs[spec_.states[i].output])) response.outputs.erase(found);
  }
}

Tensor SequenceInputs::correlation_id(const TensorSpec& input, const SequenceKey& key) const {
  const Shape shape = model_.batches() ? Shape{1, 1} : Shape{1};
  if (input.dtype == DataType::kBytes) {
    // A number for a model that takes texts is written as one.
    const std::string text = key.text();
    const auto length = static_cast<std::uint32_t>(text.size());
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    bytes += text;
    return tensor_of(input.dtype, shape, bytes.data(), bytes.size());
  }
  // Little-endian: the low bytes are the smaller number (check_key has looked whether it fits).
  return tensor_of(input.dtype, shape, &key.id, element_size_bytes(input.dtype));
}

Tensor SequenceInputs::zeros(DataType dtype, const Shape& shape) {
  // Of texts: that many empty ones.
  const std::size_t size_bytes = dtype == DataType::kBytes
                                     ? shape.num_elements().value_or(0) * sizeof(std::uint32_t)
                                     : shape.size_bytes(dtype).value_or(0);
  if (!zeros_ || zeros_->size_bytes() < size_bytes) {
    zeros_ = make_heap_buffer(std::max<std::size_t>(size_bytes, 4096));
    std::memset(zeros_->data(), 0, zeros_->size_bytes());
  }
  return {dtype, shape, zeros_->data(), size_bytes, zeros_};
}

}  // namespace naiad
