#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/quoted.h"
#include "protocol/proto_contents.h"
#include "protocol/proto_reader.h"
#include "protocol/request_parameter.h"
#include "protocol/shared_memory_parameters.h"
#include "protocol/tensor_bytes.h"
#include "protocol/v2_grpc.h"

namespace naiad {
namespace {

// Field numbers of grpc_service.proto.
namespace field {
enum Request : std::uint32_t {
  kModelName = 1,
  kModelVersion,
  kId,
  kParameters,
  kInputs,
  kOutputs,
  kRawContents
};
enum Input : std::uint32_t { kInputName = 1, kDatatype, kShape, kInputParameters, kContents };
enum Output : std::uint32_t { kOutputName = 1, kOutputParameters };
enum Parameter : std::uint32_t { kBool = 1, kInt64, kString, kDouble, kUint64 };
enum MapEntry : std::uint32_t { kKey = 1, kValue };
}  // namespace field

using Bytes = std::span<const std::byte>;

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// The value of an InferParameter; the last member of its oneof counts. Empty when it has none.
Status read_value(Bytes message, std::optional<ParameterValue>& value) {
  ProtoReader reader(message);
  while (reader.next()) {
    std::uint64_t bits = 0;
    std::string_view text;
    switch (reader.field()) {
      case field::kBool:
        if (reader.read_varint(bits)) value = bits != 0;
        break;
      case field::kInt64:
        if (reader.read_varint(bits)) value = static_cast<std::int64_t>(bits);
        break;
      case field::kString:
        if (reader.read_string(text)) value = std::string(text);
        break;
      case field::kDouble:
        if (reader.read_fixed64(bits)) value = std::bit_cast<double>(bits);
        break;
      case field::kUint64:
        if (reader.read_varint(bits)) value = bits;
        break;
      default:
        reader.skip();
    }
  }
  return reader.status();
}

// One entry of a map<string, InferParameter>.
Status read_parameter(Bytes entry, std::string_view& name, ParameterValue& value) {
  std::optional<ParameterValue> found;
  ProtoReader reader(entry);
  while (reader.next()) {
    if (reader.field() == field::kKey) {
      reader.read_string(name);
    } else if (reader.field() == field::kValue) {
      Bytes message;
      if (!reader.read_bytes(message)) break;
      if (Status status = read_value(message, found); !status.ok()) return status;
    } else {
      reader.skip();
    }
  }
  if (reader.failed()) return reader.status();
  if (!found) return parameter_type_error(name);
  value = std::move(*found);
  return {};
}

Status append_dim(std::uint64_t bits, Shape& shape) {
  if (shape.rank() == kMaxRank) {
    return invalid("a shape has more than " + std::to_string(kMaxRank) + " dimensions");
  }
  shape.push_back(static_cast<std::int64_t>(bits));
  return {};
}

// One occurrence of a repeated int64: a packed run or a single value.
Status read_dims(ProtoReader& reader, Shape& shape) {
  std::uint64_t bits = 0;
  if (reader.wire_type() == ProtoReader::WireType::kVarint) {
    return reader.read_varint(bits) ? append_dim(bits, shape) : reader.status();
  }
  Bytes run;
  if (!reader.read_bytes(run)) return reader.status();
  ProtoReader packed(run);
  while (!packed.empty()) {
    if (!packed.take_varint(bits)) return packed.status();
    if (Status status = append_dim(bits, shape); !status.ok()) return status;
  }
  return {};
}

class V2GrpcDecoder {
 public:
  V2GrpcDecoder(Bytes message, TensorPool& pool, const DecodeLimits& limits, Request& request)
      : message_(message), pool_(pool), limits_(limits), request_(request) {}

  Status decode();

 private:
  // The message is read twice: first all but the tensors' bytes, which may come before their names.
  Status read_head();
  Status read_tensors();
  Status read_request_parameter(Bytes entry);
  Status read_input(Bytes message);
  Status read_input_field(ProtoReader& reader, GivenInput& input, SharedMemoryParameters& shared);
  Status read_shared_inputs();
  // Whether the input lies in shared memory; to be asked in the order of the inputs.
  bool take_shared(std::size_t index);
  Status read_output(Bytes message);
  Status read_output_parameter(Bytes entry, WantedOutput& output, SharedMemoryParameters& shared);
  Status set_raw_contents(Bytes contents, GivenInput& input);

  Bytes message_;
  TensorPool& pool_;
  const DecodeLimits& limits_;
  Request& request_;
  std::size_t num_parameters_ = 0;
  std::size_t num_raw_contents_ = 0;
  std::optional<std::size_t> typed_input_;  // the first input that has typed contents
  struct SharedInput {
    std::size_t index;
    SharedMemoryParameters parameters;
  };
  std::vector<SharedInput> shared_inputs_;  // by index
  std::size_t num_taken_ = 0;               // of those, by take_shared()
};

Status V2GrpcDecoder::decode() {
  if (Status status = read_head(); !status.ok()) return status;
  // Inputs in shared memory have no place among the raw contents.
  const std::size_t num_inputs = request_.given_inputs.size() - shared_inputs_.size();
  if (num_raw_contents_ != 0) {
    if (typed_input_) {
      return invalid("contents field must not be specified when using raw_input_contents for " +
                     quoted(request_.given_inputs[*typed_input_].name) + " for model " +
                     quoted(request_.model_name));
    }
    if (num_raw_contents_ != num_inputs) {
      return invalid("expected " + std::to_string(num_inputs) +
                     " raw_input_contents, one for each input, got " + std::to_string(num_raw_contents_) +
                     " for model " + quoted(request_.model_name));
    }
  }
  if (Status status = read_tensors(); !status.ok()) return status;
  if (Status status = read_shared_inputs(); !status.ok()) return status;
  return check_distinct_names(request_);
}

Status V2GrpcDecoder::read_head() {
  ProtoReader reader(message_);
  while (reader.next()) {
    std::string_view text;
    Bytes bytes;
    Status status;
    switch (reader.field()) {
      case field::kModelName:
        reader.read_string(request_.model_name);
        break;
      case field::kModelVersion:
        reader.read_string(request_.model_version);
        break;
      case field::kId:
        if (reader.read_string(text)) request_.id = text;
        break;
      case field::kParameters:
        if (reader.read_bytes(bytes)) status = read_request_parameter(bytes);
        break;
      case field::kInputs:
        if (reader.read_bytes(bytes)) status = read_input(bytes);
        break;
      case field::kOutputs:
        if (reader.read_bytes(bytes)) status = read_output(bytes);
        break;
      case field::kRawContents:
        if (reader.read_bytes(bytes)) ++num_raw_contents_;
        break;
      default:
        reader.skip();
    }
    if (!status.ok()) return status;
  }
  return reader.status();
}

Status V2GrpcDecoder::read_tensors() {
  ProtoReader reader(message_);
  const std::uint32_t wanted = num_raw_contents_ != 0 ? field::kRawContents : field::kInputs;
  std::size_t index = 0;
  while (reader.next()) {
    if (reader.field() != wanted) {
      reader.skip();
      continue;
    }
    Bytes bytes;
    if (!reader.read_bytes(bytes)) break;
    // Raw contents leave inputs in shared memory out, the inputs themselves do not.
    bool shared = take_shared(index);
    while (shared && num_raw_contents_ != 0) shared = take_shared(++index);
    GivenInput& input = request_.given_inputs[index++];
    if (shared) continue;
    Status status = check_shape(input.name, request_.model_name, input.tensor.shape);
    if (!status.ok()) return status;
    status = num_raw_contents_ != 0 ? set_raw_contents(bytes, input)
                                    : read_proto_contents(bytes, request_.model_name, pool_, limits_, input);
    if (!status.ok()) return status;
  }
  return reader.status();
}

bool V2GrpcDecoder::take_shared(std::size_t index) {
  const bool shared = num_taken_ < shared_inputs_.size() && shared_inputs_[num_taken_].index == index;
  if (shared) ++num_taken_;
  return shared;
}

Status V2GrpcDecoder::read_shared_inputs() {
  for (const SharedInput& shared : shared_inputs_) {
    GivenInput& input = request_.given_inputs[shared.index];
    Status status = check_shape(input.name, request_.model_name, input.tensor.shape);
    if (!status.ok()) return status;
    status = read_shared_input(shared.parameters, limits_, request_.model_name, pool_, input);
    if (!status.ok()) return status;
  }
  return {};
}

Status V2GrpcDecoder::set_raw_contents(Bytes contents, GivenInput& input) {
  input.tensor.data = contents.data();
  input.tensor.size_bytes = contents.size();
  input.tensor.owner = request_.body;
  return check_tensor_bytes(input.name, request_.model_name, input.tensor);
}

Status V2GrpcDecoder::read_request_parameter(Bytes entry) {
  if (++num_parameters_ > kMaxParameters) return too_many("parameters", kMaxParameters);
  std::string_view name;
  ParameterValue value;
  if (Status status = read_parameter(entry, name, value); !status.ok()) return status;
  return set_request_parameter(name, std::move(value), request_);
}

Status V2GrpcDecoder::read_input(Bytes message) {
  if (request_.given_inputs.size() == kMaxTensors) return too_many("inputs", kMaxTensors);
  GivenInput input;
  SharedMemoryParameters shared;
  ProtoReader reader(message);
  while (reader.next()) {
    if (Status status = read_input_field(reader, input, shared); !status.ok()) return status;
  }
  if (reader.failed()) return reader.status();
  if (input.tensor.dtype == DataType::kInvalid) {
    return invalid("input " + quoted(input.name) + " for model " + quoted(request_.model_name) +
                   " has no datatype");
  }
  const std::size_t index = request_.given_inputs.size();
  if (shared.given()) {
    if (typed_input_ == index) {
      return invalid("input " + quoted(input.name) + " has both 'contents' and a place in shared memory");
    }
    shared_inputs_.push_back({index, std::move(shared)});
  }
  request_.given_inputs.push_back(std::move(input));
  return {};
}

Status V2GrpcDecoder::read_input_field(ProtoReader& reader, GivenInput& input,
                                       SharedMemoryParameters& shared) {
  std::string_view name;
  Bytes bytes;
  switch (reader.field()) {
    case field::kInputName:
      reader.read_string(input.name);
      return {};
    case field::kDatatype: {
      if (!reader.read_string(name)) return {};
      const auto dtype = dtype_from_name(name);
      if (!dtype) return invalid("invalid datatype " + quoted(name) + " for input " + quoted(input.name));
      input.tensor.dtype = *dtype;
      return {};
    }
    case field::kShape:
      return read_dims(reader, input.tensor.shape);
    case field::kInputParameters: {
      ParameterValue value;
      if (!reader.read_bytes(bytes)) return {};
      if (Status status = read_parameter(bytes, name, value); !status.ok()) return status;
      // Other parameters of an input have no meaning; they are ignored, as Triton does.
      if (!is_shared_memory_parameter(name)) return {};
      return set_shared_memory_parameter(name, value, limits_.regions, shared);
    }
    case field::kContents:
      if (reader.read_bytes(bytes) && !typed_input_) typed_input_ = request_.given_inputs.size();
      return {};
    default:
      reader.skip();
      return {};
  }
}

Status V2GrpcDecoder::read_output(Bytes message) {
  if (request_.wanted_outputs.size() == kMaxTensors) return too_many("requested outputs", kMaxTensors);
  WantedOutput output;
  SharedMemoryParameters shared;
  ProtoReader reader(message);
  while (reader.next()) {
    Bytes entry;
    if (reader.field() == field::kOutputName) {
      reader.read_string(output.name);
    } else if (reader.field() == field::kOutputParameters) {
      if (!reader.read_bytes(entry)) break;
      if (Status status = read_output_parameter(entry, output, shared); !status.ok()) return status;
    } else {
      reader.skip();
    }
  }
  if (reader.failed()) return reader.status();
  Status status = lease_shared_output(shared, limits_.regions, output);
  if (status.ok()) request_.wanted_outputs.push_back(std::move(output));
  return status;
}

Status V2GrpcDecoder::read_output_parameter(Bytes entry, WantedOutput& output,
                                            SharedMemoryParameters& shared) {
  std::string_view name;
  ParameterValue value;
  if (Status status = read_parameter(entry, name, value); !status.ok()) return status;
  if (is_shared_memory_parameter(name)) {
    return set_shared_memory_parameter(name, value, limits_.regions, shared);
  }
  return name == "classification" ? set_num_classes(value, output) : Status{};
}

}  // namespace

Status decode_v2_grpc(std::span<const std::byte> message, TensorPool& pool, const DecodeLimits& limits,
                      Request& request) {
  return V2GrpcDecoder(message, pool, limits, request).decode();
}

}  // namespace naiad
