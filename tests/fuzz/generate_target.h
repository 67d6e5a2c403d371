#pragma once

#include "codec_target.h"
#include "protocol/generate.h"

namespace naiad::fuzz {

// Inputs of several kinds, with and without open dimensions.
inline ModelSpec generate_spec(std::uint8_t choice) {
  ModelSpec spec;
  spec.name = "m";
  spec.max_batch_size = (choice & 1) != 0 ? 8 : 0;
  const auto add = [&](const char* name, DataType dtype, Shape dims) {
    TensorSpec input;
    input.name = name;
    input.dtype = dtype;
    input.dims = std::move(dims);
    spec.inputs.push_back(std::move(input));
  };
  add("T", DataType::kBytes, (choice & 2) != 0 ? Shape{-1} : Shape{1});
  add("F", DataType::kFp32, (choice & 4) != 0 ? Shape{-1, 2, -1} : Shape{2, 2});
  add("B", DataType::kBool, Shape{1});
  add("I", DataType::kInt64, (choice & 8) != 0 ? Shape{0} : Shape{-1});
  add("H", DataType::kFp16, Shape{1});
  return spec;
}

// Byte 0 chooses the model; the rest is the body.
inline int run_generate(std::span<const std::uint8_t> input) {
  if (input.empty()) return 0;
  const ModelSpec spec = generate_spec(input[0]);
  HeapPool pool(16UL << 20);
  const DecodeLimits limits = decode_limits();
  Request request;
  request.model_name = "m";
  request.body = copy_of(input.subspan(1));
  const std::span<const std::byte> body(request.body->data(), request.body->size_bytes());
  const Status status = decode_generate(body, spec, pool, limits, request);
  if (!status.ok()) {
    require(is_refusal(status), "a refusal has a client's code and a short message");
    return 0;
  }
  check_accepted(request);
  for (const GivenInput& given : request.given_inputs) {
    require(spec.input_index(given.name).has_value(), "an input is one of the model's");
  }
  const Response response = echo(request);
  std::string text = "before";
  const Status written = append_generate_response(text, request, response);
  require(text.starts_with("before"), "what stands before is kept");
  if (!written.ok()) {
    require(text == "before", "nothing is appended of what cannot be written");
    return 0;
  }
  TextStore unescaped;
  JsonReader reader(text, 6, 100, unescaped);
  require(reader.skip_value(true) && reader.at_end(), "a response is one JSON value");
  return 0;
}

}  // namespace naiad::fuzz
