#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/quoted.h"
#include "protocol/json_parameter.h"
#include "protocol/json_reader.h"
#include "protocol/json_tensor.h"
#include "protocol/request_parameter.h"
#include "protocol/shared_memory_parameters.h"
#include "protocol/tensor_bytes.h"
#include "protocol/v2_http.h"
#include "protocol/v2_http_raw.h"

namespace naiad {
namespace {

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// What an entry of "inputs" has said so far; its keys come in any order.
struct InputEntry {
  GivenInput input;
  bool has_name = false;
  bool has_datatype = false;
  bool has_shape = false;
  bool has_data = false;
  std::optional<std::size_t> data_at;  // "data" that came before what is needed to read it
  std::optional<std::uint64_t> binary_size_bytes;
  SharedMemoryParameters shared;
};

class V2HttpDecoder {
 public:
  V2HttpDecoder(std::string_view json, std::span<const std::byte> tail, TensorPool& pool,
                const DecodeLimits& limits, Request& request)
      : json_(json),
        tail_(tail),
        pool_(pool),
        limits_(limits),
        request_(request),
        reader_(json, 0, limits.max_json_depth, request.text) {}

  Status decode();

 private:
  Status read_id();
  Status read_parameters();
  Status read_inputs();
  Status read_input();
  Status read_input_field(std::string_view key, InputEntry& entry);
  Status read_shape(InputEntry& entry);
  Status read_data(InputEntry& entry);
  Status read_input_parameters(InputEntry& entry);
  Status finish_input(InputEntry& entry);
  Status finish_json_input(InputEntry& entry);
  Status finish_binary_input(InputEntry& entry);
  Status read_outputs();
  Status read_output();
  Status read_output_parameters(WantedOutput& output, SharedMemoryParameters& shared);
  Status read_shared_memory_parameter(std::string_view name, SharedMemoryParameters& shared);
  Status read_text(std::string_view what, std::string_view& text);
  // Steps over a key that has no meaning here, as Triton does.
  Status skip() { return reader_.skip_value() ? Status{} : reader_.status(); }

  std::string_view json_;
  std::span<const std::byte> tail_;
  TensorPool& pool_;
  const DecodeLimits& limits_;
  Request& request_;
  JsonReader reader_;
};

Status V2HttpDecoder::decode() {
  if (!reader_.enter_object()) return reader_.status();
  bool has_inputs = false;
  std::string_view key;
  while (reader_.next_key(key)) {
    Status status;
    if (key == "inputs") {
      has_inputs = true;
      status = read_inputs();
    } else if (key == "outputs") {
      status = read_outputs();
    } else if (key == "parameters") {
      status = read_parameters();
    } else if (key == "id") {
      status = read_id();
    } else {
      status = skip();
    }
    if (!status.ok()) return status;
  }
  if (reader_.failed()) return reader_.status();
  if (!reader_.at_end()) {
    return invalid("failed to parse the request JSON buffer: unexpected text behind the request at " +
                   std::to_string(reader_.position()));
  }
  if (!has_inputs) return invalid("unable to parse 'inputs': the request has no member 'inputs'");
  if (!tail_.empty()) {
    return invalid("unexpected additional input data for model " + quoted(request_.model_name) + ": " +
                   std::to_string(tail_.size()) + " bytes behind the binary inputs");
  }
  return check_distinct_names(request_);
}

Status V2HttpDecoder::read_text(std::string_view what, std::string_view& text) {
  if (reader_.peek() != JsonReader::Kind::kString) {
    return invalid("unable to parse '" + std::string(what) + "': expected a string");
  }
  return reader_.read_string(text) ? Status{} : reader_.status();
}

Status V2HttpDecoder::read_id() {
  std::string_view id;
  Status status = read_text("id", id);
  request_.id = id;
  return status;
}

Status V2HttpDecoder::read_parameters() {
  if (reader_.peek() != JsonReader::Kind::kObject)
    return invalid("unable to parse 'parameters': expected an object");
  if (!reader_.enter_object()) return reader_.status();
  std::string_view key;
  std::size_t count = 0;
  while (reader_.next_key(key)) {
    if (++count > kMaxParameters) return too_many("parameters", kMaxParameters);
    ParameterValue value;
    if (Status status = read_json_parameter(reader_, key, value); !status.ok()) return status;
    if (Status status = set_request_parameter(key, std::move(value), request_); !status.ok()) return status;
  }
  return reader_.status();
}

Status V2HttpDecoder::read_inputs() {
  if (reader_.peek() != JsonReader::Kind::kArray)
    return invalid("unable to parse 'inputs': expected an array");
  if (!reader_.enter_array()) return reader_.status();
  while (reader_.next_element()) {
    if (request_.given_inputs.size() == kMaxTensors) return too_many("inputs", kMaxTensors);
    if (Status status = read_input(); !status.ok()) return status;
  }
  return reader_.status();
}

Status V2HttpDecoder::read_input() {
  if (reader_.peek() != JsonReader::Kind::kObject) {
    return invalid("unable to parse 'inputs': expected an object for each input");
  }
  if (!reader_.enter_object()) return reader_.status();
  InputEntry entry;
  std::string_view key;
  while (reader_.next_key(key)) {
    if (Status status = read_input_field(key, entry); !status.ok()) return status;
  }
  if (reader_.failed()) return reader_.status();
  if (Status status = finish_input(entry); !status.ok()) return status;
  request_.given_inputs.push_back(std::move(entry.input));
  return {};
}

Status V2HttpDecoder::read_input_field(std::string_view key, InputEntry& entry) {
  if (key == "name") {
    entry.has_name = true;
    return read_text("name", entry.input.name);
  }
  if (key == "datatype") {
    std::string_view name;
    if (Status status = read_text("datatype", name); !status.ok()) return status;
    const auto dtype = dtype_from_name(name);
    if (!dtype) return invalid("invalid datatype " + quoted(name) + " for input " + quoted(entry.input.name));
    entry.has_datatype = true;
    entry.input.tensor.dtype = *dtype;
    return {};
  }
  if (key == "shape") return read_shape(entry);
  if (key == "data") return read_data(entry);
  if (key == "parameters") return read_input_parameters(entry);
  return skip();
}

Status V2HttpDecoder::read_shape(InputEntry& entry) {
  if (reader_.peek() != JsonReader::Kind::kArray)
    return invalid("unable to parse 'shape': expected an array");
  if (!reader_.enter_array()) return reader_.status();
  entry.has_shape = true;
  Shape& shape = entry.input.tensor.shape;
  while (reader_.next_element()) {
    if (reader_.peek() != JsonReader::Kind::kNumber)
      return invalid("unable to parse 'shape': expected integers");
    JsonNumber number;
    if (!reader_.read_number(number)) return reader_.status();
    const auto dim = number.to_int64();
    if (!dim) {
      return invalid("unable to parse 'shape': expected a 64-bit integer, got " +
                     std::string(number.text.substr(0, 64)));
    }
    if (shape.rank() == kMaxRank) {
      return invalid("unable to parse 'shape': more than " + std::to_string(kMaxRank) + " dimensions");
    }
    shape.push_back(*dim);
  }
  if (reader_.failed()) return reader_.status();
  return check_shape(entry.input.name, request_.model_name, shape);
}

Status V2HttpDecoder::read_data(InputEntry& entry) {
  entry.has_data = true;
  if (entry.has_name && entry.has_datatype && entry.has_shape && !entry.binary_size_bytes) {
    return read_json_tensor(reader_, pool_, limits_, entry.input);
  }
  entry.data_at = reader_.position();
  return reader_.skip_value(true) ? Status{} : reader_.status();
}

Status V2HttpDecoder::read_input_parameters(InputEntry& entry) {
  if (reader_.peek() != JsonReader::Kind::kObject)
    return invalid("unable to parse 'parameters': expected an object");
  if (!reader_.enter_object()) return reader_.status();
  std::string_view key;
  while (reader_.next_key(key)) {
    if (key != "binary_data_size") {
      Status status =
          is_shared_memory_parameter(key) ? read_shared_memory_parameter(key, entry.shared) : skip();
      if (!status.ok()) return status;
      continue;
    }
    JsonNumber number;
    if (reader_.peek() == JsonReader::Kind::kNumber) {
      if (!reader_.read_number(number)) return reader_.status();
      entry.binary_size_bytes = number.to_uint64();
    }
    if (!entry.binary_size_bytes) {
      return invalid("unable to parse 'binary_data_size' of input " + quoted(entry.input.name) +
                     ": expected an integer that is not negative");
    }
  }
  return reader_.status();
}

Status V2HttpDecoder::finish_input(InputEntry& entry) {
  const auto missing = [&](std::string_view what) {
    return invalid("unable to parse 'inputs': input " + std::to_string(request_.given_inputs.size()) +
                   " has no member '" + std::string(what) + "'");
  };
  if (!entry.has_name) return missing("name");
  if (!entry.has_shape) return missing("shape");
  if (!entry.has_datatype) return missing("datatype");
  if (entry.has_data && entry.binary_size_bytes) {
    return invalid("input " + quoted(entry.input.name) + " has both 'data' and 'binary_data_size'");
  }
  if (entry.shared.given()) {
    if (entry.has_data || entry.binary_size_bytes) {
      return invalid("input " + quoted(entry.input.name) + " has both '" +
                     (entry.has_data ? "data" : "binary_data_size") + "' and a place in shared memory");
    }
    return read_shared_input(entry.shared, limits_, request_.model_name, pool_, entry.input);
  }
  if (entry.has_data) return finish_json_input(entry);
  if (entry.binary_size_bytes) return finish_binary_input(entry);
  return invalid("input " + quoted(entry.input.name) + " has neither 'data' nor 'binary_data_size'");
}

Status V2HttpDecoder::finish_json_input(InputEntry& entry) {
  if (!entry.data_at) return {};
  JsonReader reader(json_, *entry.data_at, limits_.max_json_depth, request_.text);
  return read_json_tensor(reader, pool_, limits_, entry.input);
}

Status V2HttpDecoder::finish_binary_input(InputEntry& entry) {
  if (*entry.binary_size_bytes > tail_.size()) {
    return invalid("unexpected size for input " + quoted(entry.input.name) + ", expecting " +
                   std::to_string(*entry.binary_size_bytes) + " additional bytes for model " +
                   quoted(request_.model_name) + ", got " + std::to_string(tail_.size()));
  }
  const auto size_bytes = static_cast<std::size_t>(*entry.binary_size_bytes);
  Tensor& tensor = entry.input.tensor;
  tensor.data = tail_.data();
  tensor.size_bytes = size_bytes;
  tensor.owner = request_.body;
  tail_ = tail_.subspan(size_bytes);
  return check_tensor_bytes(entry.input.name, request_.model_name, tensor);
}

Status V2HttpDecoder::read_outputs() {
  if (reader_.peek() != JsonReader::Kind::kArray)
    return invalid("unable to parse 'outputs': expected an array");
  if (!reader_.enter_array()) return reader_.status();
  while (reader_.next_element()) {
    if (request_.wanted_outputs.size() == kMaxTensors) return too_many("requested outputs", kMaxTensors);
    if (Status status = read_output(); !status.ok()) return status;
  }
  return reader_.status();
}

Status V2HttpDecoder::read_output() {
  if (reader_.peek() != JsonReader::Kind::kObject) {
    return invalid("unable to parse 'outputs': expected an object for each output");
  }
  if (!reader_.enter_object()) return reader_.status();
  WantedOutput output;
  SharedMemoryParameters shared;
  bool has_name = false;
  std::string_view key;
  while (reader_.next_key(key)) {
    Status status;
    if (key == "name") {
      has_name = true;
      status = read_text("name", output.name);
    } else if (key == "parameters") {
      status = read_output_parameters(output, shared);
    } else {
      status = skip();
    }
    if (!status.ok()) return status;
  }
  if (reader_.failed()) return reader_.status();
  if (!has_name) {
    return invalid("unable to parse 'outputs': output " + std::to_string(request_.wanted_outputs.size()) +
                   " has no member 'name'");
  }
  Status status = lease_shared_output(shared, limits_.regions, output);
  if (status.ok()) request_.wanted_outputs.push_back(std::move(output));
  return status;
}

Status V2HttpDecoder::read_shared_memory_parameter(std::string_view name, SharedMemoryParameters& shared) {
  ParameterValue value;
  if (Status status = read_json_parameter(reader_, name, value); !status.ok()) return status;
  return set_shared_memory_parameter(name, value, limits_.regions, shared);
}

Status V2HttpDecoder::read_output_parameters(WantedOutput& output, SharedMemoryParameters& shared) {
  if (reader_.peek() != JsonReader::Kind::kObject)
    return invalid("unable to parse 'parameters': expected an object");
  if (!reader_.enter_object()) return reader_.status();
  std::string_view key;
  while (reader_.next_key(key)) {
    if (is_shared_memory_parameter(key)) {
      if (Status status = read_shared_memory_parameter(key, shared); !status.ok()) return status;
    } else if (key == "classification") {
      ParameterValue value;
      if (Status status = read_json_parameter(reader_, key, value); !status.ok()) return status;
      if (Status status = set_num_classes(value, output); !status.ok()) return status;
    } else if (key == "binary_data") {
      bool binary = false;
      if (reader_.peek() != JsonReader::Kind::kBool) {
        return invalid("unable to parse 'binary_data' of output " + quoted(output.name) +
                       ": expected true or false");
      }
      if (!reader_.read_bool(binary)) return reader_.status();
      output.binary = binary;
    } else if (Status status = skip(); !status.ok()) {
      return status;
    }
  }
  return reader_.status();
}

}  // namespace

Status decode_v2_http(std::span<const std::byte> body, std::optional<std::size_t> header_length,
                      const ModelSpec* spec, TensorPool& pool, const DecodeLimits& limits, Request& request) {
  if (header_length == std::size_t{0}) return decode_raw_v2_http(body, spec, pool, request);
  const std::size_t json_size = header_length.value_or(body.size());
  if (json_size > body.size()) {
    return invalid("Inference-Header-Content-Length is " + std::to_string(json_size) +
                   ", but the request body has " + std::to_string(body.size()) + " bytes");
  }
  const std::string_view json(reinterpret_cast<const char*>(body.data()), json_size);
  return V2HttpDecoder(json, body.subspan(json_size), pool, limits, request).decode();
}

}  // namespace naiad
