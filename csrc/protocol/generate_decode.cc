#include <string>
#include <string_view>
#include <utility>

#include "base/quoted.h"
#include "protocol/generate.h"
#include "protocol/json_parameter.h"
#include "protocol/json_reader.h"
#include "protocol/json_tensor.h"
#include "protocol/request_parameter.h"

namespace naiad {
namespace {

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

// The shape of an input that is given as `count` elements; false when they do not fill it.
bool shape_for(const ModelSpec& spec, const TensorSpec& input, std::int64_t count, Shape& shape) {
  if (spec.batches()) shape.push_back(-1);
  for (const std::int64_t dim : input.dims) shape.push_back(dim);
  std::size_t innermost = shape.rank();
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] < 0) {
      innermost = i;
      shape[i] = 1;
    } else if (shape[i] == 0 || count % shape[i] != 0) {
      return false;
    } else {
      count /= shape[i];
    }
  }
  if (innermost == shape.rank()) return count == 1;
  shape[innermost] = count;
  return true;
}

class GenerateDecoder {
 public:
  GenerateDecoder(std::string_view json, const ModelSpec& spec, TensorPool& pool, const DecodeLimits& limits,
                  Request& request)
      : json_(json),
        spec_(spec),
        pool_(pool),
        limits_(limits),
        request_(request),
        reader_(json, 0, limits.max_json_depth, request.text) {}

  Status decode();

 private:
  Status read_members(bool top);
  Status read_member(std::string_view key);
  Status read_input(const TensorSpec& input);
  Status count_elements(std::int64_t& count);

  std::string_view json_;
  const ModelSpec& spec_;
  TensorPool& pool_;
  const DecodeLimits& limits_;
  Request& request_;
  JsonReader reader_;
  std::size_t num_parameters_ = 0;
};

Status GenerateDecoder::decode() {
  if (reader_.peek() != JsonReader::Kind::kObject) {
    return invalid("failed to parse the request JSON buffer: expected an object");
  }
  if (Status status = read_members(true); !status.ok()) return status;
  if (!reader_.at_end()) {
    return invalid("failed to parse the request JSON buffer: unexpected text behind the request at " +
                   std::to_string(reader_.position()));
  }
  return check_distinct_names(request_);
}

Status GenerateDecoder::read_members(bool top) {
  if (!reader_.enter_object()) return reader_.status();
  std::string_view key;
  while (reader_.next_key(key)) {
    Status status;
    if (top && key == "parameters" && reader_.peek() == JsonReader::Kind::kObject) {
      status = read_members(false);
    } else if (top && key == "id") {
      if (reader_.peek() != JsonReader::Kind::kString)
        return invalid("unable to parse 'id': expected a string");
      std::string_view id;
      if (!reader_.read_string(id)) return reader_.status();
      request_.id = id;
    } else {
      status = read_member(key);
    }
    if (!status.ok()) return status;
  }
  return reader_.status();
}

Status GenerateDecoder::read_member(std::string_view key) {
  if (const auto index = spec_.input_index(key)) return read_input(spec_.inputs[*index]);
  if (++num_parameters_ > kMaxParameters) return too_many("parameters", kMaxParameters);
  ParameterValue value;
  if (Status status = read_json_parameter(reader_, key, value); !status.ok()) return status;
  return set_request_parameter(key, std::move(value), request_);
}

Status GenerateDecoder::read_input(const TensorSpec& input) {
  const bool is_array = reader_.peek() == JsonReader::Kind::kArray;
  const std::size_t start = reader_.position();
  std::int64_t count = 1;
  if (Status status = count_elements(count); !status.ok()) return status;
  GivenInput given;
  given.name = input.name;
  given.tensor.dtype = input.dtype;
  if (!shape_for(spec_, input, count, given.tensor.shape)) {
    return invalid("The schema can not convert input '" + input.name + "' to tensor with proper shape");
  }
  // A value is read as the array of it.
  std::string_view text = json_;
  std::size_t at = start;
  if (!is_array) {
    const std::string_view value = json_.substr(start, reader_.position() - start);
    text = request_.text.emplace_back("[" + std::string(value) + "]");
    at = 0;
  }
  JsonReader again(text, at, limits_.max_json_depth, request_.text);
  if (Status status = read_json_tensor(again, pool_, limits_, given); !status.ok()) return status;
  request_.given_inputs.push_back(std::move(given));
  return {};
}

// Steps over the next value and counts the scalars in it.
Status GenerateDecoder::count_elements(std::int64_t& count) {
  if (reader_.peek() != JsonReader::Kind::kArray) {
    return reader_.skip_value(true) ? Status{} : reader_.status();
  }
  count = 0;
  if (!reader_.enter_array()) return reader_.status();
  std::size_t level = 1;
  while (level > 0) {
    if (!reader_.next_element()) {
      if (reader_.failed()) return reader_.status();
      --level;
    } else if (reader_.peek() == JsonReader::Kind::kArray) {
      if (!reader_.enter_array()) return reader_.status();
      ++level;
    } else {
      if (!reader_.skip_value(true)) return reader_.status();
      ++count;
    }
  }
  return {};
}

}  // namespace

Status decode_generate(std::span<const std::byte> body, const ModelSpec& spec, TensorPool& pool,
                       const DecodeLimits& limits, Request& request) {
  const std::string_view json(reinterpret_cast<const char*>(body.data()), body.size());
  return GenerateDecoder(json, spec, pool, limits, request).decode();
}

}  // namespace naiad
