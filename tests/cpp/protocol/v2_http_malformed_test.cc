#include <doctest/doctest.h>

#include <string>

#include "protocol/codec_kit.h"

using namespace naiad;

namespace {

std::string one_input(const std::string& members) {
  return R"({"inputs":[{"name":"A",)" + members + "}]}";
}

void check_refused(const std::string& body, std::optional<std::size_t> header_length = std::nullopt) {
  CAPTURE(body.substr(0, 200));
  const Decoded decoded = decode_http(body, header_length);
  CHECK(decoded.status.code() == Code::kInvalidArgument);
  CHECK(decoded.status.message().size() > 10);
  CHECK(decoded.status.message().size() < 600);
}

}  // namespace

TEST_CASE("what is not a JSON request is refused") {
  for (const char* body : {"",
                           " ",
                           "{",
                           "[]",
                           "1",
                           "null",
                           "{}",
                           "{\"inputs\"}",
                           "{\"inputs\":}",
                           "{\"inputs\":[}",
                           "{\"inputs\":[],}",
                           "{\"inputs\":[]}x",
                           "{\"inputs\":[]} {}",
                           "{'inputs':[]}",
                           "{\"inputs\":{}}",
                           "{\"inputs\":[1]}",
                           "{\"inputs\":[{}]}",
                           "{\"inputs\":[],\"id\":5}",
                           "{\"inputs\":[],\"id\":\"\x01\"}",
                           "{\"inputs\":[],\"id\":\"\xff\"}",
                           "{\"inputs\":[],\"id\":\"\xed\xa0\x80\"}",
                           "{\"inputs\":[],\"id\":\"\\x\"}",
                           "{\"inputs\":[],\"id\":\"\\ud800\"}",
                           "{\"inputs\":[],\"id\":\"\\udc00\"}",
                           "{\"inputs\":[],\"id\":\"\\ud800\\u0041\"}",
                           "{\"inputs\":[],\"id\":\"\\u12g4\"}",
                           "{\"inputs\":[],\"id\":\"abc",
                           "{\"inputs\":[],\"id\":\"abc\\",
                           "\xef\xbb\xbf{\"inputs\":[]}",
                           "{\"inputs\":[],\"x\":01}",
                           "{\"inputs\":[],\"x\":1.}",
                           "{\"inputs\":[],\"x\":.5}",
                           "{\"inputs\":[],\"x\":1e}",
                           "{\"inputs\":[],\"x\":+1}",
                           "{\"inputs\":[],\"x\":-}",
                           "{\"inputs\":[],\"x\":tru}",
                           "{\"inputs\":[],\"x\":nul}",
                           "{\"inputs\":[],\"x\":[1,]}",
                           "{\"inputs\":[],\"x\":[1 2]}",
                           "{\"inputs\":[],\"x\":[1}",
                           "{\"inputs\":[],\"x\":{\"a\" 1}}",
                           "{\"inputs\":[],\"x\":{1:2}}",
                           "{\"inputs\":[],\"outputs\":{}}",
                           "{\"inputs\":[],\"outputs\":[5]}",
                           "{\"inputs\":[],\"outputs\":[{}]}",
                           "{\"inputs\":[],\"outputs\":[{\"name\":5}]}",
                           "{\"inputs\":[],\"parameters\":[]}",
                           "{\"inputs\":[],\"x\":\"\t\"}"}) {
    check_refused(body);
  }
}

TEST_CASE("inputs that lie or leave something out are refused") {
  for (const char* members :
       {R"("shape":[1],"datatype":"INT8")",
        R"("datatype":"INT8","data":[1])",
        R"("shape":[1],"data":[1])",
        R"("shape":[1],"datatype":"INT9","data":[1])",
        R"("shape":[1],"datatype":5,"data":[1])",
        R"("shape":1,"datatype":"INT8","data":[1])",
        R"("shape":["1"],"datatype":"INT8","data":[1])",
        R"("shape":[1.5],"datatype":"INT8","data":[1])",
        R"("shape":[-1],"datatype":"INT8","data":[1])",
        R"("shape":[0,-1],"datatype":"INT8","data":[])",
        R"("shape":[99999999999999999999],"datatype":"INT8","data":[1])",
        R"("shape":[16,1152921504606846978],"datatype":"FP32","data":[1])",
        R"("shape":[4,1152921504606846978],"datatype":"FP32","data":[1,2,3,4,5,6,7,8])",
        R"("shape":[2],"datatype":"INT8","data":[1])",
        R"("shape":[2],"datatype":"INT8","data":[1,2,3])",
        R"("shape":[2],"datatype":"INT8","data":[[1],[2],[3]])",
        R"("shape":[1],"datatype":"INT8","data":1)",
        R"("shape":[1],"datatype":"INT8","data":["1"])",
        R"("shape":[1],"datatype":"INT8","data":[true])",
        R"("shape":[1],"datatype":"INT8","data":[null])",
        R"("shape":[1],"datatype":"INT8","data":[{}])",
        R"("shape":[1],"datatype":"INT8","data":[1.0])",
        R"("shape":[1],"datatype":"INT8","data":[1e1])",
        R"("shape":[1],"datatype":"INT8","data":[128])",
        R"("shape":[1],"datatype":"UINT8","data":[-1])",
        R"("shape":[1],"datatype":"UINT64","data":[18446744073709551616])",
        R"("shape":[1],"datatype":"INT64","data":[9223372036854775808])",
        R"("shape":[1],"datatype":"FP32","data":["a"])",
        R"("shape":[1],"datatype":"FP32","data":[+NaN])",
        R"("shape":[1],"datatype":"FP32","data":[Na])",
        R"("shape":[1],"datatype":"BOOL","data":[2])",
        R"("shape":[1],"datatype":"BYTES","data":[1])",
        R"("shape":[1],"datatype":"BYTES","data":["\q"])",
        R"("shape":[1],"datatype":"BYTES","data":["a)",
        R"("shape":[1],"datatype":"BYTES","data":["a","b"])",
        R"("shape":[1],"datatype":"BYTES","data":[tru])",
        R"("shape":[1],"datatype":"BOOL","data":[tru])",
        R"("shape":[1],"datatype":"BOOL","data":[true)",
        R"("shape":[2],"datatype":"BOOL","data":[[true,[]])",
        R"("datatype":"INT8","data":[1],"shape":[2])",
        R"("datatype":"INT8","data":[1)",
        R"("datatype":"INT8","shape":[1)",
        R"("datatype":"INT8","shape":["1])",
        R"("shape":[1],"datatype":"BF16","data":[1])",
        R"("shape":[1],"datatype":"INT8","data":[1],"parameters":{"binary_data_size":1})",
        R"("shape":[1],"datatype":"INT8","parameters":{"binary_data_size":1})",
        R"("shape":[1],"datatype":"INT8","parameters":{"binary_data_size":-1})",
        R"("shape":[1],"datatype":"INT8","parameters":{"binary_data_size":"1"})",
        R"("shape":[1],"datatype":"INT8","parameters":{"binary_data_size":18446744073709551616})",
        R"("shape":[1],"datatype":"INT8","parameters":[])",
        R"("data":[2,3],"shape":[1],"datatype":"INT8")"}) {
    check_refused(one_input(members));
  }
  check_refused(one_input(R"("shape":[)" + std::string(200, '1') + R"(],"datatype":"INT8","data":[1])"));
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  check_refused(one_input(R"("shape":[)" + ones + R"(],"datatype":"INT8","data":[1])"));
}

TEST_CASE("duplicates are refused in every object and list of names") {
  for (
      const char* body :
      {R"({"inputs":[],"inputs":[]})", R"({"id":"1","inputs":[],"id":"1"})",
       R"({"inputs":[],"x":{"a":1,"\u0061":2}})", R"({"parameters":{"a":1,"a":2},"inputs":[]})",
       R"({"inputs":[],"outputs":[{"name":"Y"},{"name":"Z"},{"name":"Y"}]})",
       R"({"inputs":[{"name":"A","name":"A","shape":[1],"datatype":"INT8","data":[1]}]})",
       R"({"inputs":[{"name":"A","shape":[1],"datatype":"INT8","data":[1]},{"name":"A","shape":[1],"datatype":"INT8","data":[1]}]})"}) {
    check_refused(body);
  }
  std::string many;
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  CHECK(decode_http(R"({"inputs":[],"x":{)" + many + R"("k100":0}})").status.ok());
  check_refused(R"({"inputs":[],"x":{)" + many + R"("k50":0}})");
}

TEST_CASE("parameters of the wrong type are refused") {
  for (const char* parameters : {R"({"sequence_id":-1})",
                                 R"({"sequence_id":true})",
                                 R"({"sequence_id":1.5})",
                                 R"({"sequence_start":1})",
                                 R"({"sequence_end":"true"})",
                                 R"({"priority":-1})",
                                 R"({"priority":"1"})",
                                 R"({"timeout":1.5})",
                                 R"({"binary_data_output":1})",
                                 R"({"x":null})",
                                 R"({"x":{}})",
                                 R"({"x":NaN})",
                                 R"({"x":1e400})",
                                 R"({"x":99999999999999999999})",
                                 R"({"triton_enable_empty_final_response":1})",
                                 R"({"triton_":1})",
                                 R"({"sequence_start":tru})",
                                 R"({"sequence_id":tru})",
                                 R"({"priority":)",
                                 R"({"x":tru})",
                                 R"({"x":"\q"})",
                                 R"({"x":1e})"}) {
    check_refused(std::string(R"({"inputs":[],"parameters":)") + parameters + "}");
  }
  for (const char* parameters :
       {R"({"classification":-1})", R"({"classification":"1"})", R"({"classification":4294967296})",
        R"({"classification":1.5})", R"({"binary_data":1})"}) {
    check_refused(std::string(R"({"inputs":[],"outputs":[{"name":"Y","parameters":)") + parameters + "}]}");
  }
}

TEST_CASE("header lengths and binary sizes that lie are refused") {
  const std::string json =
      R"({"inputs":[{"name":"A","shape":[2],"datatype":"INT16","parameters":{"binary_data_size":4}}]})";
  CHECK(decode_http(json + "abcd", json.size()).status.ok());
  for (const std::string& tail : {std::string(), std::string("abc"), std::string("abcde")}) {
    check_refused(json + tail, json.size());
  }
  check_refused(json + "abcd");
  for (const std::size_t length : {json.size() - 1, json.size() + 1, json.size() + 4, json.size() + 5,
                                   std::size_t{1}, ~std::size_t{0}, std::size_t{1} << 63}) {
    check_refused(json + "abcd", length);
  }
  const auto strings = [](const std::string& wire, const std::string& count) {
    const std::string head = R"({"inputs":[{"name":"A","shape":[)" + count +
                             R"(],"datatype":"BYTES","parameters":{"binary_data_size":)" +
                             std::to_string(wire.size()) + "}}]}";
    return decode_http(head + wire, head.size()).status;
  };
  CHECK(strings(wire_strings({"ab", "c"}), "2").ok());
  CHECK(strings(wire_strings({"ab", "c", "d"}), "2").message() ==
        "unexpected number of string elements 3 for inference input 'A', expecting 2");
  CHECK(strings(wire_strings({"ab"}), "2").code() == Code::kInvalidArgument);
  CHECK(strings("abc", "1").message().find("incomplete string length indicator for inference input 'A'") ==
        0);
  for (const char* length : {"\x03\0\0\0", "\0\0\0\x80", "\xff\xff\xff\xff"}) {
    CHECK(strings(std::string(length, 4) + "ab", "1")
              .message()
              .find("incomplete string data for inference input") == 0);
  }
  CHECK(strings("", "1000000000000").code() == Code::kInvalidArgument);
}

TEST_CASE("nesting is bounded at every place") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  // The request object and the arrays around a value count too.
  CHECK(decode_http(R"({"inputs":[],"x":)" + nested(99) + "}").status.ok());
  check_refused(R"({"inputs":[],"x":)" + nested(100) + "}");
  check_refused(R"({"inputs":[],"x":)" + std::string(1000000, '['));
  const std::string front = R"({"inputs":[{"name":"A","shape":[0],"datatype":"INT8","data":)";
  CHECK(decode_http(front + nested(97) + "}]}").status.ok());
  check_refused(front + nested(98) + "}]}");
  check_refused(R"({"inputs":[{"name":"A","data":)" + nested(98) + R"(,"shape":[0],"datatype":"INT8"}]})");
  check_refused(nested(200));
  std::string objects = R"({"inputs":[],"x":)";
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  check_refused(objects);
}

TEST_CASE("very many inputs, outputs, parameters or escapes are refused without memory for each") {
  const auto outputs = [](int count) {
    std::string list;
    for (int i = 0; i < count; ++i)
      list += (i == 0 ? "{\"name\":\"y" : ",{\"name\":\"y") + std::to_string(i) + "\"}";
    return R"({"inputs":[],"outputs":[)" + list + "]}";
  };
  const Decoded d = decode_http(outputs(4096));
  REQUIRE(d.status.ok());
  CHECK(d.request->wanted_outputs.size() == 4096);
  check_refused(outputs(4097));
  check_refused(outputs(100000));
  std::string inputs;
  for (int i = 0; i < 4097; ++i) {
    inputs += (i == 0 ? "{\"name\":\"a" : ",{\"name\":\"a") + std::to_string(i) +
              R"(","shape":[],"datatype":"INT8","data":[1]})";
  }
  check_refused(R"({"inputs":[)" + inputs + "]}");
  std::string parameters;
  for (int i = 0; i < 1025; ++i) parameters += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":0";
  check_refused(R"({"inputs":[],"parameters":{)" + parameters + "}}");
  std::string escapes = R"("\n")";
  for (int i = 0; i < 65537; ++i) escapes += R"(,{"\n":0})";
  check_refused(R"({"inputs":[],"x":[)" + escapes + "]}");
}

TEST_CASE("a tensor beyond the limit is refused before memory is taken for it") {
  DecodeLimits limits;
  limits.max_tensor_bytes = 16;
  const std::string numbers = one_input(R"("shape":[5],"datatype":"INT32","data":[1,2,3,4,5])");
  Decoded d = decode_http(numbers, std::nullopt, nullptr, limits);
  CHECK(d.status.code() == Code::kInvalidArgument);
  CHECK(d.pool->usage().used_bytes == 0);
  d = decode_http(one_input(R"("shape":[2],"datatype":"BYTES","data":["12345","67890"])"), std::nullopt,
                  nullptr, limits);
  CHECK(d.status.code() == Code::kInvalidArgument);
  CHECK(d.pool->usage().used_bytes == 0);
}

TEST_CASE("names in messages are cut") {
  check_refused(R"({"inputs":[{"name":")" + std::string(100000, 'n') +
                R"(","shape":[1],"datatype":"INT8"}]})");
  check_refused(R"({"inputs":[],"parameters":{")" + std::string(100000, 'p') + R"(":null}})");
}
