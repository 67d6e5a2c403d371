#include "protocol/generate.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "fakes/heap_pool.h"
#include "memory/buffer.h"

using namespace naiad;

namespace {

TensorSpec input_of(const char* name, DataType dtype, Shape dims) {
  TensorSpec input;
  input.name = name;
  input.dtype = dtype;
  input.dims = std::move(dims);
  return input;
}

struct Decoded {
  explicit Decoded(const std::string& json, std::uint32_t max_batch_size = 0) {
    spec.name = "m";
    spec.max_batch_size = max_batch_size;
    spec.inputs.push_back(input_of("text", DataType::kBytes, Shape{1}));
    spec.inputs.push_back(input_of("count", DataType::kInt32, Shape{1}));
    spec.inputs.push_back(input_of("any", DataType::kFp32, Shape{-1, 2, -1}));
    request.model_name = "m";
    request.body = make_heap_buffer(json.size());
    if (!json.empty()) std::memcpy(request.body->data(), json.data(), json.size());
    status = decode_generate({request.body->data(), json.size()}, spec, pool, DecodeLimits{}, request);
  }
  const Tensor& input(std::size_t i) const { return request.given_inputs[i].tensor; }

  ModelSpec spec;
  HeapPool pool;
  Request request;
  Status status;
};

std::vector<float> floats_of(const Tensor& tensor) {
  std::vector<float> values(tensor.size_bytes / sizeof(float));
  std::memcpy(values.data(), tensor.data, tensor.size_bytes);
  return values;
}

}  // namespace

TEST_CASE("generate: members named like inputs are inputs, at the top and among the parameters") {
  const Decoded decoded(
      R"({"id":"x","text":"h\u00e9","parameters":{"count":3,"temperature":0.5},"stream":true})");
  REQUIRE(decoded.status.ok());
  CHECK(decoded.request.id == "x");
  REQUIRE(decoded.request.given_inputs.size() == 2);
  CHECK(decoded.request.given_inputs[0].name == "text");
  CHECK(decoded.input(0).shape == Shape{1});
  CHECK(std::string(reinterpret_cast<const char*>(decoded.input(0).data), decoded.input(0).size_bytes) ==
        std::string("\x03\0\0\0h\xc3\xa9", 7));
  CHECK(decoded.input(1).shape == Shape{1});
  REQUIRE(decoded.request.parameters.size() == 2);
  CHECK(std::get<double>(*find_parameter(decoded.request.parameters, "temperature")) == 0.5);
  CHECK(std::get<bool>(*find_parameter(decoded.request.parameters, "stream")));
}

TEST_CASE("generate: an array fills the innermost open dimension, the other open ones are 1") {
  const Decoded decoded(R"({"any":[1,2,3,4,5,6]})");
  REQUIRE(decoded.status.ok());
  CHECK(decoded.input(0).shape == Shape{1, 2, 3});
  CHECK(floats_of(decoded.input(0)) == std::vector<float>{1, 2, 3, 4, 5, 6});

  const Decoded batched(R"({"text":["a","b","c"],"count":[7]})", 8);
  REQUIRE(batched.status.ok());
  CHECK(batched.input(0).shape == Shape{3, 1});
  CHECK(batched.input(1).shape == Shape{1, 1});
  CHECK(Decoded(R"({"text":"a"})", 8).input(0).shape == Shape{1, 1});
  CHECK(Decoded(R"({"text":[["a"]]})").input(0).shape == Shape{1});
}

TEST_CASE("generate: the protocol's own parameters act") {
  const Decoded decoded(R"({"text":"a","sequence_id":5,"sequence_start":true,"parameters":{"priority":2}})");
  REQUIRE(decoded.status.ok());
  CHECK(decoded.request.sequence_id == 5);
  CHECK(decoded.request.sequence_start);
  CHECK(decoded.request.priority == 2);
  CHECK(decoded.request.parameters.empty());
}

TEST_CASE("generate: what does not fit is refused") {
  const std::string schema = "The schema can not convert input 'text' to tensor with proper shape";
  CHECK(Decoded(R"({"text":["a","b"]})").status.message() == schema);
  CHECK(Decoded(R"({"text":[]})").status.message() == schema);
  CHECK(Decoded(R"({"any":[1,2,3]})").status.message() ==
        "The schema can not convert input 'any' to tensor with proper shape");
  CHECK(Decoded(R"({"foo":[1]})").status.message() ==
        "parameter 'foo' has invalid type. It should be either 'int', 'bool', or 'string'.");
  for (const char* const json :
       {"", "[1]", "{\"text\":5}", "{\"count\":\"a\"}", "{\"count\":1.5}", "{\"id\":5}", "{\"text\":\"a\"} x",
        "{\"text\":\"a\",\"parameters\":{\"text\":\"b\"}}", "{\"parameters\":[1]}", "{\"a\":null}",
        "{\"text\":\"a\"", "{\"triton_x\":1}", "{\"count\":[1", "{\"count\":[true]}", "{\"count\":tru}",
        "{\"text\":[\"a\",1]}", "{\"a\":tru}", "{\"parameters\":{\"a\":1}"}) {
    CAPTURE(json);
    CHECK(Decoded(json).status.code() == Code::kInvalidArgument);
  }
}

TEST_CASE("generate: a response is one flat object") {
  auto spec = std::make_shared<ModelSpec>();
  spec->name = "m";
  spec->outputs.push_back(input_of("y", DataType::kInt32, Shape{-1}));
  spec->outputs.push_back(input_of("h", DataType::kFp16, Shape{1}));
  Request request;
  request.spec = spec;
  request.id = "q";
  const auto tensor = [](std::vector<std::int32_t> values) {
    BufferRef block = make_heap_buffer(values.size() * 4);
    std::memcpy(block->data(), values.data(), values.size() * 4);
    return Tensor{DataType::kInt32, Shape{static_cast<std::int64_t>(values.size())}, block->data(),
                  values.size() * 4, block};
  };
  Response response;
  response.outputs.push_back({0, tensor({7})});
  response.parameters.push_back({"p", true});
  response.parameters.push_back({"model_name", std::string("other")});
  response.parameters.push_back({"y", std::int64_t{1}});
  response.parameters.push_back({"p", false});
  std::string text;
  CHECK(append_generate_response(text, request, response).ok());
  CHECK(text == R"({"id":"q","model_name":"m","model_version":"1","p":true,"y":7})");

  response.outputs[0].tensor = tensor({1, 2});
  request.id.clear();
  response.parameters.clear();
  text = ">";
  CHECK(append_generate_response(text, request, response).ok());
  CHECK(text == R"(>{"model_name":"m","model_version":"1","y":[1,2]})");

  const BufferRef half = make_heap_buffer(2);
  std::memset(half->data(), 0, 2);
  response.outputs[0] = {1, {DataType::kFp16, Shape{1}, half->data(), 2, half}};
  text = ">";
  CHECK(append_generate_response(text, request, response).code() == Code::kInvalidArgument);
  CHECK(text == ">");
  response.outputs[0].index = 2;
  CHECK(append_generate_response(text, request, response).code() == Code::kInternal);
  response.outputs.clear();
  response.parameters.push_back({"p", std::string("\xFF")});
  response.parameters.push_back({"q", true});
  CHECK(append_generate_response(text, request, response).code() == Code::kInternal);
  response.parameters.clear();
  spec->outputs[0].name = "\xFF";
  response.outputs.push_back({0, tensor({7})});
  response.outputs.push_back({0, tensor({8})});
  CHECK(append_generate_response(text, request, response).code() == Code::kInternal);
  request.id = "\xFF";
  CHECK(append_generate_response(text, request, response).message() == "the request's id is not valid UTF-8");
  CHECK(text == ">");
  response.status = {Code::kUnavailable, "no"};
  CHECK(append_generate_response(text, request, response).message() == "no");
}

TEST_CASE("generate: parameters are bounded") {
  const auto parameters = [](int count) {
    std::string json = R"({"text":"a")";
    for (int i = 0; i < count; ++i) json += ",\"p" + std::to_string(i) + "\":1";
    return Decoded(json + "}").status;
  };
  CHECK(parameters(1024).ok());
  CHECK(parameters(1025).code() == Code::kInvalidArgument);
}
