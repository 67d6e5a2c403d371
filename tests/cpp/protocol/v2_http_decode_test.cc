#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

#include "protocol/codec_kit.h"

using namespace naiad;

namespace {

// A request with one input "A" of the datatype, shape and data.
std::string one_input(const std::string& datatype, const std::string& shape, const std::string& data) {
  return R"({"inputs":[{"name":"A","datatype":")" + datatype + R"(","shape":)" + shape + R"(,"data":)" +
         data + "}]}";
}

template <typename T>
void check_values(const std::string& datatype, const std::string& data, const std::vector<T>& expected) {
  CAPTURE(datatype);
  const Decoded decoded = decode_http(one_input(datatype, "[" + std::to_string(expected.size()) + "]", data));
  REQUIRE_MESSAGE(decoded.status.ok(), decoded.status.message());
  CHECK(dtype_name(decoded.input().tensor.dtype) == datatype);
  CHECK(values_of<T>(decoded.input().tensor) == expected);
}

}  // namespace

TEST_CASE("the documented JSON request is read") {
  const Decoded d = decode_http(
      R"({"id":"42","inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"INT32","data":[[1,2]]},)"
      R"({"name":"INPUT1","shape":[1,2],"datatype":"INT32","data":[3,4]}],"outputs":[{"name":"OUTPUT0"}]})");
  REQUIRE(d.status.ok());
  CHECK(d.request->id == "42");
  REQUIRE(d.request->given_inputs.size() == 2);
  CHECK(d.input(0).name == "INPUT0");
  CHECK(d.input(0).tensor.shape == Shape{1, 2});
  CHECK(values_of<std::int32_t>(d.input(0).tensor) == std::vector<std::int32_t>{1, 2});
  CHECK(values_of<std::int32_t>(d.input(1).tensor) == std::vector<std::int32_t>{3, 4});
  REQUIRE(d.request->wanted_outputs.size() == 1);
  CHECK(d.request->wanted_outputs[0].name == "OUTPUT0");
  CHECK_FALSE(d.request->wanted_outputs[0].binary.has_value());
}

TEST_CASE("every datatype is read from JSON at its limits") {
  check_values<std::uint8_t>("BOOL", "[true,false,true]", {1, 0, 1});
  check_values<std::uint8_t>("UINT8", "[0,1,255]", {0, 1, 255});
  check_values<std::uint16_t>("UINT16", "[0,1,65535]", {0, 1, 65535});
  check_values<std::uint32_t>("UINT32", "[0,1,4294967295]", {0, 1, 4294967295U});
  check_values<std::uint64_t>("UINT64", "[0,-0,18446744073709551615]", {0, 0, 18446744073709551615ULL});
  check_values<std::int8_t>("INT8", "[-128,0,127]", {-128, 0, 127});
  check_values<std::int16_t>("INT16", "[-32768,0,32767]", {-32768, 0, 32767});
  check_values<std::int32_t>("INT32", "[-2147483648,0,2147483647]",
                             {std::numeric_limits<std::int32_t>::min(), 0, 2147483647});
  check_values<std::int64_t>(
      "INT64", "[-9223372036854775808,0,9223372036854775807]",
      {std::numeric_limits<std::int64_t>::min(), 0, std::numeric_limits<std::int64_t>::max()});
  check_values<float>("FP32", "[0.5,-1.25,1099511627776.0,7]", {0.5F, -1.25F, 0x1p40F, 7.0F});
  check_values<double>("FP64", "[0.1,-1e300,5e-324,1E+2]", {0.1, -1e300, 5e-324, 100.0});
}

TEST_CASE("strings become the wire form with their escapes resolved") {
  const Decoded d = decode_http(
      one_input("BYTES", "[2,2]", R"([["","plain"],["h\u00e9llo \"q\" \\ \n","\uD83D\uDE00\u0000"]])"));
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  CHECK(text_of(d.input().tensor.bytes()) ==
        wire_strings({"", "plain", "h\xc3\xa9llo \"q\" \\ \n", std::string("\xF0\x9F\x98\x80\0", 5)}));
}

TEST_CASE("floating-point tensors take NaN and Infinity, other tensors do not") {
  const Decoded d = decode_http(one_input("FP32", "[6]", "[NaN,Infinity,-Infinity,Inf,-Inf,-0.0]"));
  REQUIRE(d.status.ok());
  const auto values = values_of<float>(d.input().tensor);
  CHECK(std::isnan(values[0]));
  CHECK(values[1] == std::numeric_limits<float>::infinity());
  CHECK(values[2] == -std::numeric_limits<float>::infinity());
  CHECK(values[3] == std::numeric_limits<float>::infinity());
  CHECK(values[4] == -std::numeric_limits<float>::infinity());
  CHECK(std::signbit(values[5]));
  CHECK(decode_http(one_input("INT32", "[1]", "[NaN]")).status.code() == Code::kInvalidArgument);
  CHECK(decode_http(one_input("BOOL", "[1]", "[NaN]")).status.code() == Code::kInvalidArgument);
  CHECK(decode_http(R"({"id":NaN,"inputs":[]})").status.code() == Code::kInvalidArgument);
}

TEST_CASE("numbers too small for their type become zero, too large ones are refused") {
  check_values<double>("FP64", "[1e-400,-0.000e999999999999,0.00001e-330,2.2250738585072014e-308]",
                       {0.0, -0.0, 0.0, 2.2250738585072014e-308});
  check_values<double>("FP64", "[1e+2,1E-99999999999,0e99999999999,0.0]", {100.0, 0.0, 0.0, 0.0});
  check_values<float>("FP32", "[1e-60,3.4028234e38]", {0.0F, 3.4028234e38F});
  for (const char* data : {"[1e400]", "[-1e400]", "[1e+400]", "[0.1e+99999999999]",
                           "[100000e99999999999999999]", "[0.00001e400]"}) {
    CAPTURE(data);
    CHECK(decode_http(one_input("FP64", "[1]", data)).status.code() == Code::kInvalidArgument);
  }
  CHECK(decode_http(one_input("FP32", "[1]", "[1e39]")).status.code() == Code::kInvalidArgument);
  CHECK(decode_http(one_input("FP64", "[1]", "[1" + std::string(100000, '0') + "]")).status.code() ==
        Code::kInvalidArgument);
}

TEST_CASE("keys may come in any order, unknown ones are stepped over") {
  const Decoded d = decode_http(
      R"({"zzz":{"a":[1,{"b":null}]},"outputs":[{"parameters":{"binary_data":true,"classification":3},"name":"Y"}],)"
      R"("inputs":[{"data":[1.5,NaN],"shape":[2],"name":"\u0041","x":[[]],"datatype":"FP32"}],"id":"\u00e9"})");
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  CHECK(d.request->id == "\xc3\xa9");
  CHECK(d.input().name == "A");
  CHECK(values_of<float>(d.input().tensor)[0] == 1.5F);
  CHECK(d.request->wanted_outputs[0].binary == true);
  CHECK(d.request->wanted_outputs[0].num_classes == 3);
}

TEST_CASE("zero-size and scalar tensors are read") {
  const Decoded empty = decode_http(one_input("FP32", "[0,3]", "[]"));
  REQUIRE(empty.status.ok());
  CHECK(empty.input().tensor.size_bytes == 0);
  REQUIRE(decode_http(one_input("BYTES", "[1,0]", "[[]]")).status.ok());
  const Decoded scalar = decode_http(one_input("INT8", "[]", "[5]"));
  REQUIRE(scalar.status.ok());
  CHECK(scalar.input().tensor.shape.rank() == 0);
}

TEST_CASE("binary inputs are views of the body, in the order of the inputs") {
  const std::string json =
      R"({"inputs":[{"name":"B","shape":[2],"datatype":"INT32","parameters":{"binary_data_size":8}},)"
      R"({"name":"J","shape":[1],"datatype":"INT8","data":[1]},)"
      R"({"name":"S","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},)"
      R"({"name":"H","shape":[1],"datatype":"BF16","parameters":{"binary_data_size":2}},)"
      R"({"name":"Z","shape":[0],"datatype":"FP32","parameters":{"binary_data_size":0}}],)"
      R"("parameters":{"binary_data_output":true}})";
  const std::string tail = bytes_of<std::int32_t>({7, -8}) + wire_strings({"abc", ""}) + "\x80\x3f";
  const Decoded d = decode_http(json + tail, json.size());
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  CHECK(d.request->binary_by_default);
  CHECK(d.input(0).tensor.data == d.request->body->data() + json.size());
  CHECK(d.input(0).tensor.owner.get() == d.request->body.get());
  CHECK(values_of<std::int32_t>(d.input(0).tensor) == std::vector<std::int32_t>{7, -8});
  CHECK(text_of(d.input(2).tensor.bytes()) == wire_strings({"abc", ""}));
  CHECK(d.input(3).tensor.size_bytes == 2);
  CHECK(d.input(4).tensor.size_bytes == 0);
}

TEST_CASE("reserved parameters become fields, the others are the model's") {
  const Decoded d = decode_http(
      R"({"parameters":{"sequence_id":42,"sequence_start":true,"sequence_end":false,"priority":2,"timeout":1000,)"
      R"("triton_enable_empty_final_response":true,"s":"x","i":-5,"u":18446744073709551615,"d":0.5,"b":false},"inputs":[]})");
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  const Request& r = *d.request;
  CHECK(r.sequence_id == 42);
  CHECK(r.sequence_start);
  CHECK_FALSE(r.sequence_end);
  CHECK(r.priority == 2);
  CHECK(r.timeout_us == 1000);
  CHECK(r.parameters.size() == 6);
  CHECK(*find_parameter(r.parameters, "s") == ParameterValue(std::string("x")));
  CHECK(*find_parameter(r.parameters, "i") == ParameterValue(std::int64_t{-5}));
  CHECK(*find_parameter(r.parameters, "u") == ParameterValue(std::uint64_t{18446744073709551615ULL}));
  CHECK(*find_parameter(r.parameters, "d") == ParameterValue(0.5));
  CHECK(*find_parameter(r.parameters, "b") == ParameterValue(false));
  CHECK(decode_http(R"({"parameters":{"sequence_id":"e333c95a"},"inputs":[]})").request->sequence_name ==
        "e333c95a");
}

TEST_CASE("refusals use the words that Triton's clients know") {
  const auto message = [](const std::string& body) { return decode_http(body).status.message(); };
  CHECK(message(R"({"parameters":{"triton_x":1},"inputs":[]})") ==
        "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.");
  CHECK(message(R"({"parameters":{"x":[1]},"inputs":[]})") ==
        "parameter 'x' has invalid type. It should be either 'int', 'bool', or 'string'.");
  CHECK(message(one_input("FP16", "[1]", "[1]"))
            .find("receiving FP16 data via JSON is not supported. Please use "
                  "the binary data format for input") == 0);
  const Decoded shm = decode_http(
      R"({"inputs":[{"name":"A","shape":[1],"datatype":"INT8","parameters":{"shared_memory_region":"r"}}]})");
  CHECK(shm.status.code() == Code::kUnsupported);
  CHECK(shm.status.message() ==
        "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.");
  const std::string json =
      R"({"inputs":[{"name":"A","shape":[16],"datatype":"INT32","parameters":{"binary_data_size":32}}]})";
  CHECK(decode_http(json + std::string(32, 'x'), json.size()).status.message() ==
        "input byte size mismatch for input 'A' for model 'm'. Expected 64, got 32");
}

TEST_CASE("the raw form takes the whole body as the one input") {
  ModelSpec spec;
  spec.name = "m";
  spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, false, {}});
  const std::string body = bytes_of<float>({1, 2, 3});
  Decoded d = decode_http(body, 0, &spec);
  REQUIRE(d.status.ok());
  CHECK(d.input().name == "X");
  CHECK(d.input().tensor.shape == Shape{3});
  CHECK(d.request->binary_by_default);
  CHECK(values_of<float>(d.input().tensor) == std::vector<float>{1, 2, 3});

  spec.max_batch_size = 4;
  CHECK(decode_http(body, 0, &spec).input().tensor.shape == Shape{1, 3});
  spec.inputs[0].dims = Shape{3};
  CHECK(decode_http(body, 0, &spec).status.ok());
  spec.inputs[0].dims = Shape{2};
  CHECK(decode_http(body, 0, &spec).status.code() == Code::kInvalidArgument);
  spec.inputs[0].dims = Shape{-1, 2};
  CHECK(decode_http(body, 0, &spec).status.code() == Code::kInvalidArgument);
  spec.inputs[0].dims = Shape{-1, -1};
  CHECK(decode_http(body, 0, &spec).status.code() == Code::kInvalidArgument);
  spec.inputs[0].dims = Shape{-1, 0};
  CHECK(decode_http(body, 0, &spec).status.code() == Code::kInvalidArgument);
  CHECK(decode_http("", 0, &spec).input().tensor.shape == Shape{1, 0, 0});

  spec.inputs[0].dims = Shape{std::int64_t{1} << 62, 8};
  CHECK(decode_http(body, 0, &spec).status.message().ends_with("is too large"));
  CHECK(decode_http(body, 0).status.code() == Code::kInternal);

  spec.max_batch_size = 0;
  spec.inputs[0] = {"X", DataType::kBytes, Shape{1}, {}, false, {}};
  d = decode_http("hello raw", 0, &spec);
  REQUIRE(d.status.ok());
  CHECK(text_of(d.input().tensor.bytes()) == wire_strings({"hello raw"}));
  spec.inputs.push_back(spec.inputs[0]);
  CHECK(decode_http("hello raw", 0, &spec).status.code() == Code::kInvalidArgument);
}
