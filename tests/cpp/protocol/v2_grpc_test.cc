#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

#include "protocol/golden_messages.h"
#include "protocol/proto_kit.h"

using namespace naiad;

TEST_CASE("the Python client's request is read") {
  const Decoded d = decode_grpc(from_hex(kClientRequest));
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  const Request& r = *d.request;
  CHECK(r.model_name == "add");
  CHECK(r.model_version == "3");
  CHECK(r.id == "g7");
  CHECK(r.sequence_id == 42);
  CHECK(r.sequence_start);
  CHECK_FALSE(r.sequence_end);
  CHECK(r.priority == 2);
  CHECK(r.timeout_us == 1000);
  CHECK(r.parameters.size() == 3);
  CHECK(*find_parameter(r.parameters, "s") == ParameterValue(std::string("x")));
  CHECK(*find_parameter(r.parameters, "i") == ParameterValue(std::int64_t{-5}));
  CHECK(*find_parameter(r.parameters, "b") == ParameterValue(true));
  REQUIRE(r.given_inputs.size() == 2);
  CHECK(d.input(0).name == "INPUT0");
  CHECK(d.input(0).tensor.shape == Shape{1, 2});
  CHECK(values_of<std::int32_t>(d.input(0).tensor) == std::vector<std::int32_t>{1, 2});
  CHECK(d.input(0).tensor.owner.get() == r.body.get());
  CHECK(text_of(d.input(1).tensor.bytes()) == wire_strings({"ab", ""}));
  REQUIRE(r.wanted_outputs.size() == 1);
  CHECK(r.wanted_outputs[0].name == "OUTPUT0");
  CHECK(r.wanted_outputs[0].num_classes == 2);
}

TEST_CASE("typed contents of every datatype are read") {
  const Decoded d = decode_grpc(from_hex(kTypedRequest));
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  REQUIRE(d.request->given_inputs.size() == 13);
  CHECK(values_of<std::uint8_t>(d.input(0).tensor) == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(values_of<std::int8_t>(d.input(1).tensor) == std::vector<std::int8_t>{-128, 127});
  CHECK(values_of<std::int16_t>(d.input(2).tensor) == std::vector<std::int16_t>{-32768, 32767});
  CHECK(values_of<std::int32_t>(d.input(3).tensor) ==
        std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min(),
                                  std::numeric_limits<std::int32_t>::max()});
  CHECK(values_of<std::int64_t>(d.input(4).tensor) ==
        std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max()});
  CHECK(values_of<std::uint8_t>(d.input(5).tensor) == std::vector<std::uint8_t>{0, 255});
  CHECK(values_of<std::uint16_t>(d.input(6).tensor) == std::vector<std::uint16_t>{65535});
  CHECK(values_of<std::uint32_t>(d.input(7).tensor) == std::vector<std::uint32_t>{4294967295U});
  CHECK(values_of<std::uint64_t>(d.input(8).tensor) == std::vector<std::uint64_t>{18446744073709551615ULL});
  CHECK(values_of<float>(d.input(9).tensor) == std::vector<float>{0.5F, -1.25F});
  CHECK(values_of<double>(d.input(10).tensor) == std::vector<double>{0.1, 5e-324});
  CHECK(d.input(10).tensor.shape == Shape{2, 1});
  CHECK(text_of(d.input(11).tensor.bytes()) == wire_strings({"", std::string("a\0b", 3), "xyz"}));
  CHECK(d.input(12).tensor.size_bytes == 0);
}

TEST_CASE("unpacked fields, merged contents, repeated scalars and unknown fields follow protobuf's rules") {
  const std::string contents =
      length_field(5, varint_field(2, 1)) + length_field(5, length_field(2, varint(2) + varint(3)));
  const std::string input = length_field(1, "X") + length_field(1, "A") + length_field(2, "INT32") +
                            varint_field(3, 1) + varint_field(3, 3);
  const std::string message =
      length_field(1, "x") + length_field(1, "m") + varint_field(99, 7) + tag(98, 1) + std::string(8, 'z') +
      tag(97, 5) + "zzzz" + length_field(96, "zz") +
      length_field(4, length_field(2, varint_field(1, 1) + varint_field(2, 7)) + length_field(1, "k")) +
      length_field(4, map_entry("k", varint_field(2, 8))) + length_field(5, input + contents);
  const Decoded d = decode_grpc(message);
  REQUIRE_MESSAGE(d.status.ok(), d.status.message());
  CHECK(d.request->model_name == "m");
  CHECK(d.input().name == "A");
  CHECK(d.input().tensor.shape == Shape{1, 3});
  CHECK(values_of<std::int32_t>(d.input().tensor) == std::vector<std::int32_t>{1, 2, 3});
  REQUIRE(d.request->parameters.size() == 1);
  CHECK(d.request->parameters[0].value == ParameterValue(std::int64_t{8}));
}

TEST_CASE("raw contents may come before the inputs that they belong to") {
  const Decoded d = decode_grpc(length_field(7, "abcd") + length_field(7, "") +
                                length_field(5, proto_input("A", "FP16", {2})) +
                                length_field(5, proto_input("B", "BF16", {0})));
  REQUIRE(d.status.ok());
  CHECK(text_of(d.input(0).tensor.bytes()) == "abcd");
  CHECK(d.input(1).tensor.size_bytes == 0);
}

TEST_CASE("malformed messages are refused") {
  const std::string a = proto_input("A", "INT8", {2});
  const std::string typed = length_field(5, length_field(2, varint(1) + varint(2)));
  const std::vector<std::string> messages = {
      "\xff\xff\xff\xff",
      "\x08",
      "\x0a",
      "\x0a\x05"
      "ab",
      tag(1, 0) + "x",
      std::string(1, '\0'),
      tag(5, 3) + tag(5, 4),
      tag(9, 4),
      tag(9, 6),
      tag(9, 1) + "short",
      tag(9, 5) + "abc",
      tag(9, 0) + std::string(11, '\x80'),
      std::string("\x80\x80\x80\x80\x80\x01", 6),
      length_field(1, "\xff"),
      length_field(3, "\xc0\x80"),
      length_field(9, "x") + "\x12\x7f",
      length_field(5, proto_input("A", "INT9", {2}) + typed),
      length_field(5, length_field(1, "A") + length_field(3, varint(2)) + typed),
      length_field(5, proto_input("A", "INT8", {3}) + typed),
      length_field(5, proto_input("A", "INT8", {1}) + typed),
      length_field(5, a),
      length_field(5, proto_input("A", "INT8", {-2}) + typed),
      length_field(5, proto_input("A", "INT8", {4611686018427387904, 4}) + typed),
      length_field(5, proto_input("A", "INT64", {2}) + typed),
      length_field(5, proto_input("A", "FP32", {2}) + typed),
      length_field(5, proto_input("A", "FP16", {2}) + typed),
      length_field(5, proto_input("A", "BF16", {0})),
      length_field(5, proto_input("A", "INT8", {1}) + length_field(5, length_field(2, varint(128)))),
      length_field(5, proto_input("A", "UINT8", {1}) + length_field(5, length_field(4, varint(256)))),
      length_field(5, proto_input("A", "INT16", {1}) + length_field(5, varint_field(2, 0xFFFF7FFF))),
      length_field(5, proto_input("A", "FP32", {1}) + length_field(5, length_field(6, "abc"))),
      length_field(5, proto_input("A", "FP64", {1}) + length_field(5, varint_field(7, 1))),
      length_field(5, proto_input("A", "INT8", {1}) + length_field(5, "\x12\x05")),
      length_field(5, a + typed) + length_field(7, "ab"),
      length_field(5, a) + length_field(5, proto_input("B", "INT8", {1})) + length_field(7, "ab"),
      length_field(5, a) + length_field(7, "ab") + length_field(7, "ab"),
      length_field(5, a) + length_field(7, "a"),
      length_field(5, a) + length_field(7, "abc"),
      length_field(7, "ab"),
      varint_field(7, 1),
      varint_field(6, 1),
      length_field(6, varint_field(2, 1)),
      length_field(6, length_field(1, "Y") + length_field(2, map_entry("binary", varint_field(3, 1)))),
      length_field(5, a + varint_field(5, 1)),
      length_field(5, a + length_field(5, length_field(2, "\1\x80"))),
      length_field(5, a + length_field(5, length_field(3, "\1\2"))),
      length_field(5, a + length_field(5, varint_field(2, 1) + tag(2, 0) + "\x80")),
      length_field(5, proto_input("A", "FP32", {1}) + length_field(5, tag(6, 5) + "abc")),
      length_field(5, proto_input("A", "FP64", {1}) + length_field(5, tag(7, 1) + "abcdefg")),
      length_field(5, proto_input("A", "BYTES", {1}) + length_field(5, varint_field(8, 1))),
      length_field(
          5, proto_input("A", "BYTES", {1}) + length_field(5, length_field(8, "a") + length_field(8, "b"))),
      length_field(5, proto_input("A", "INT16", {1}) + length_field(5, varint_field(2, 0xFFFF7FFE))),
      length_field(5, proto_input("A", "UINT16", {1}) + length_field(5, varint_field(4, 65536))),
      length_field(5, proto_input("A", "BYTES", {1})) + length_field(7, std::string("\x63\0\0\0abc", 7)),
      length_field(5, a + typed) + length_field(5, a + typed),
      length_field(6, length_field(1, "Y")) + length_field(6, length_field(1, "Y")),
      length_field(
          6, length_field(1, "Y") + length_field(2, map_entry("classification", varint_field(2, ~0ULL)))),
      length_field(4, map_entry("triton_x", varint_field(1, 1))),
      length_field(4, map_entry("k", "")),
      length_field(4, length_field(1, "k")),
      length_field(4, map_entry("sequence_start", varint_field(2, 1))),
      length_field(4, map_entry("priority", varint_field(2, ~0ULL))),
      length_field(4, map_entry("k", length_field(3, "\xff"))),
      length_field(4, map_entry("k", varint_field(4, 1))),
      length_field(5, length_field(3, std::string(65, '\1')))};
  for (const std::string& message : messages) {
    CAPTURE(message);
    const Decoded d = decode_grpc(message);
    CHECK(d.status.code() == Code::kInvalidArgument);
    CHECK_FALSE(d.status.message().empty());
  }
  CHECK(decode_grpc(length_field(5, a + typed) + length_field(7, "ab")).status.message() ==
        "contents field must not be specified when using raw_input_contents for 'A' for model ''");
  CHECK(decode_grpc(length_field(4, map_entry("k", ""))).status.message() ==
        "parameter 'k' has invalid type. It should be either 'int', 'bool', or 'string'.");
}

TEST_CASE("very many inputs, outputs or parameters are refused without memory for each") {
  const auto repeated = [](const std::string& field, int count) {
    std::string message;
    for (int i = 0; i < count; ++i) message += field;
    return decode_grpc(message).status.message();
  };
  CHECK(repeated(length_field(6, ""), 100000) == "the request has more than 4096 requested outputs");
  CHECK(repeated(length_field(5, proto_input("A", "INT8", {0})), 100000) ==
        "the request has more than 4096 inputs");
  CHECK(repeated(length_field(4, map_entry("k", varint_field(1, 1))), 100000) ==
        "the request has more than 1024 parameters");
}

TEST_CASE("client shared memory is refused by name") {
  const std::string region = map_entry("shared_memory_region", length_field(3, "r"));
  CHECK(decode_grpc(length_field(5, proto_input("A", "INT8", {1}) + length_field(4, region))).status.code() ==
        Code::kUnsupported);
  CHECK(decode_grpc(length_field(6, length_field(1, "Y") + length_field(2, region))).status.code() ==
        Code::kUnsupported);
}

TEST_CASE("every prefix of a good message is read or refused") {
  for (const std::string_view hex : {kClientRequest, kTypedRequest}) {
    const std::string whole = from_hex(hex);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Status status = decode_grpc(std::string_view(whole).substr(0, size)).status;
      CHECK((status.ok() || status.code() == Code::kInvalidArgument));
    }
  }
}

TEST_CASE("a typed tensor beyond the limit is refused before memory is taken for it") {
  DecodeLimits limits;
  limits.max_tensor_bytes = 15;
  const Decoded d = decode_grpc(length_field(5, proto_input("A", "INT64", {2}) +
                                                    length_field(5, length_field(3, varint(1) + varint(2)))),
                                limits);
  CHECK(d.status.code() == Code::kInvalidArgument);
  CHECK(d.pool->usage().used_bytes == 0);
}

TEST_CASE("a response is the bytes that protobuf writes") {
  Answer answer;
  answer.spec->name = "add";
  answer.request->id = "g7";
  answer.response.parameters = {{"b", true}};
  answer.add("SUM", DataType::kInt32, {1, 2}, bytes_of<std::int32_t>({4, 6}));
  answer.add("E", DataType::kFp32, {0, 200}, "");
  const Encoded encoded = encode_grpc(answer);
  REQUIRE(encoded.status.ok());
  CHECK(encoded.bytes == from_hex(kResponse));
}

TEST_CASE("response parameters, scalars and classes have their fields") {
  Answer answer;
  answer.response.parameters = {
      {"i", std::int64_t{-1}}, {"u", std::uint64_t{1}}, {"d", 1.0}, {"s", std::string("x")}};
  answer.add("Y", DataType::kInt8, {}, "\x07");
  answer.add("C", DataType::kFp32, {2}, bytes_of<float>({1, 3}));
  answer.want("Y");
  answer.want("C", std::nullopt, 1);
  const Encoded encoded = encode_grpc(answer);
  REQUIRE(encoded.status.ok());
  const std::string one = std::string(6, '\0') + "\xf0\x3f";
  CHECK(encoded.bytes ==
        length_field(1, "m") + length_field(2, "1") +
            length_field(4, map_entry("i", varint_field(2, ~0ULL))) +
            length_field(4, map_entry("u", varint_field(5, 1))) +
            length_field(4, map_entry("d", tag(4, 1) + one)) +
            length_field(4, map_entry("s", length_field(3, "x"))) +
            length_field(5, length_field(1, "Y") + length_field(2, "INT8")) +
            length_field(5, length_field(1, "C") + length_field(2, "BYTES") + length_field(3, varint(1))) +
            length_field(6, "\x07") + length_field(6, wire_strings({"3.000000:1"})));
}

TEST_CASE("a failed response is not encoded") {
  Answer answer;
  answer.response.status = {Code::kInternal, "boom"};
  CHECK(encode_grpc(answer).status.message() == "boom");
}
