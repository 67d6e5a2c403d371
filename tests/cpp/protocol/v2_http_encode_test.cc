#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

#include "protocol/codec_kit.h"

using namespace naiad;

TEST_CASE("a JSON response has Triton's members in Triton's order") {
  Answer answer;
  answer.request->id = "42";
  answer.spec->name = "add";
  answer.add("OUTPUT0", DataType::kInt32, {1, 2}, bytes_of<std::int32_t>({4, 6}));
  const Encoded encoded = encode_http(answer);
  REQUIRE(encoded.status.ok());
  CHECK(
      encoded.bytes ==
      R"({"id":"42","model_name":"add","model_version":"1","outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[1,2],"data":[4,6]}]})");
  CHECK_FALSE(encoded.head.json_size_bytes.has_value());
}

TEST_CASE("every datatype is written as JSON") {
  const auto data = [](DataType dtype, std::int64_t count, std::string bytes) {
    Answer answer;
    answer.add("Y", dtype, {count}, std::move(bytes));
    const Encoded encoded = encode_http(answer);
    REQUIRE_MESSAGE(encoded.status.ok(), encoded.status.message());
    const std::size_t at = encoded.bytes.find("\"data\":") + 7;
    return encoded.bytes.substr(at, encoded.bytes.size() - at - 3);
  };
  CHECK(data(DataType::kBool, 2, std::string("\1\0", 2)) == "[true,false]");
  CHECK(data(DataType::kUint8, 2, bytes_of<std::uint8_t>({0, 255})) == "[0,255]");
  CHECK(data(DataType::kUint16, 1, bytes_of<std::uint16_t>({65535})) == "[65535]");
  CHECK(data(DataType::kUint32, 1, bytes_of<std::uint32_t>({4294967295U})) == "[4294967295]");
  CHECK(data(DataType::kUint64, 1, bytes_of<std::uint64_t>({18446744073709551615ULL})) ==
        "[18446744073709551615]");
  CHECK(data(DataType::kInt8, 1, bytes_of<std::int8_t>({-128})) == "[-128]");
  CHECK(data(DataType::kInt16, 1, bytes_of<std::int16_t>({-32768})) == "[-32768]");
  CHECK(data(DataType::kInt32, 1, bytes_of<std::int32_t>({-7})) == "[-7]");
  CHECK(data(DataType::kInt64, 1, bytes_of<std::int64_t>({std::numeric_limits<std::int64_t>::min()})) ==
        "[-9223372036854775808]");
  CHECK(data(DataType::kFp32, 4, bytes_of<float>({0.5F, 0x1p40F, 0.1F, -0.0F})) ==
        "[0.5,1099511627776.0,0.10000000149011612,-0.0]");
  CHECK(data(DataType::kFp64, 3, bytes_of<double>({0.1, -1e300, 5e-324})) == "[0.1,-1e+300,5e-324]");
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(data(DataType::kFp32, 3, bytes_of<float>({std::numeric_limits<float>::quiet_NaN(), inf, -inf})) ==
        "[NaN,Infinity,-Infinity]");
  CHECK(data(DataType::kBytes, 3, wire_strings({"", "a\"\\\n\x01", "h\xc3\xa9"})) ==
        "[\"\",\"a\\\"\\\\\\n\\u0001\",\"h\xc3\xa9\"]");
  CHECK(data(DataType::kFp32, 0, "") == "[]");
}

TEST_CASE("half types and bytes that are not text have no JSON form") {
  for (const DataType dtype : {DataType::kFp16, DataType::kBf16}) {
    Answer answer;
    answer.add("Y", dtype, {1}, "ab");
    const Encoded encoded = encode_http(answer);
    CHECK(encoded.status.code() == Code::kInvalidArgument);
    CHECK(encoded.status.message().find("sending " + std::string(dtype_name(dtype)) +
                                        " data via JSON is not supported") == 0);
  }
  Answer answer;
  answer.add("Y", DataType::kBytes, {1}, wire_strings({"\xff\xfe"}));
  CHECK(encode_http(answer).status.code() == Code::kInvalidArgument);
}

TEST_CASE("binary outputs follow the JSON as views") {
  Answer answer;
  answer.add("SUM", DataType::kInt32, {2}, bytes_of<std::int32_t>({1, 2}));
  answer.add("DIFF", DataType::kInt32, {2}, bytes_of<std::int32_t>({3, 4}));
  answer.want("SUM", true);
  answer.want("DIFF");
  const std::string head =
      R"({"model_name":"m","model_version":"1","outputs":[{"name":"SUM","datatype":"INT32","shape":[2],"parameters":{"binary_data_size":8}},)"
      R"({"name":"DIFF","datatype":"INT32","shape":[2],"data":[3,4]}]})";
  const Encoded encoded = encode_http(answer);
  REQUIRE(encoded.status.ok());
  CHECK(encoded.head.json_size_bytes == head.size());
  CHECK(encoded.bytes == head + bytes_of<std::int32_t>({1, 2}));

  answer.request->binary_by_default = true;
  CHECK(encode_http(answer).bytes.ends_with(bytes_of<std::int32_t>({1, 2, 3, 4})));
}

TEST_CASE("a binary output of no bytes leaves the response plain JSON") {
  Answer answer;
  answer.add("Y", DataType::kFp32, {0}, "");
  answer.want("Y", true);
  const Encoded encoded = encode_http(answer);
  REQUIRE(encoded.status.ok());
  CHECK(encoded.bytes.ends_with(R"("shape":[0],"parameters":{"binary_data_size":0}}]})"));
  CHECK_FALSE(encoded.head.json_size_bytes.has_value());
}

TEST_CASE("response parameters are written between version and outputs") {
  Answer answer;
  answer.response.parameters = {{"b", true}, {"i", std::int64_t{-1}}, {"d", 0.25}, {"s", std::string("x\"")}};
  CHECK(
      encode_http(answer).bytes ==
      R"({"model_name":"m","model_version":"1","parameters":{"b":true,"i":-1,"d":0.25,"s":"x\""},"outputs":[]})");
}

TEST_CASE("a backend's inconsistent output is refused, not read") {
  Answer answer;
  answer.add("Y", DataType::kFp32, {4}, "abc");
  CHECK(encode_http(answer).status.code() == Code::kInternal);
  Answer strings;
  strings.add("Y", DataType::kBytes, {2}, wire_strings({"a"}));
  CHECK(encode_http(strings).status.code() == Code::kInternal);
  Answer failed;
  failed.response.status = {Code::kUnavailable, "full"};
  CHECK(encode_http(failed).status.code() == Code::kUnavailable);
}

TEST_CASE("an output that the model does not have, or whose shape has no size, is the backend's failure") {
  Answer other;
  other.add("Y", DataType::kInt8, {1}, "a");
  other.response.outputs[0].index = 1;
  CHECK(encode_http(other).status.message() == "the response has an output that the model does not have");
  CHECK(encode_grpc(other).status.code() == Code::kInternal);
  Answer vast;
  vast.add("Y", DataType::kBytes, {std::int64_t{1} << 62, 8}, "");
  CHECK(encode_http(vast).status.code() == Code::kInternal);
  Answer more;
  more.add("Y", DataType::kBytes, {1}, wire_strings({"a"}) + "bc");
  CHECK(encode_http(more).status.code() == Code::kInternal);
}

TEST_CASE("what JSON has no form for is refused, wherever it stands") {
  const std::string broken = "\xFF";
  const auto refused = [](const Answer& answer, std::string_view words) {
    const Encoded encoded = encode_http(answer);
    CHECK(encoded.status.code() == Code::kInternal);
    CHECK(encoded.status.message() == std::string(words) + " is not valid UTF-8");
  };
  Answer id;
  id.request->id = broken;
  refused(id, "the request's id");
  Answer model;
  model.spec->name = broken;
  refused(model, "the model's name");
  Answer parameter;
  parameter.response.parameters = {{broken, true}};
  refused(parameter, "a response parameter's name");
  parameter.response.parameters = {{"p", broken}};
  refused(parameter, "a response parameter");
  Answer output;
  output.add(broken, DataType::kInt8, {1}, "a");
  refused(output, "an output's name");
}

TEST_CASE("classes are written as value:index[:label]") {
  Answer answer;
  answer.add("Y", DataType::kFp32, {4}, bytes_of<float>({1.1F, 3.3F, 0.5F, 2.4F}));
  answer.want("Y", std::nullopt, 2);
  CHECK(encode_http(answer).bytes.ends_with(
      R"("datatype":"BYTES","shape":[2],"data":["3.300000:1","2.400000:3"]}]})"));
  answer.spec->outputs[0].labels = {"a", "b"};
  CHECK(encode_http(answer).bytes.ends_with(R"("data":["3.300000:1:b","2.400000:3"]}]})"));
  answer.request->wanted_outputs[0].binary = true;
  CHECK(encode_http(answer).bytes.ends_with(R"({"binary_data_size":30}}]})" +
                                            wire_strings({"3.300000:1:b", "2.400000:3"})));
}
