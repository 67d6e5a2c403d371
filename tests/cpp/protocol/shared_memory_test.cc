#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "fakes/shared_gpu.h"
#include "fakes/shared_object.h"
#include "memory/shared_regions.h"
#include "protocol/codec_kit.h"
#include "protocol/proto_kit.h"

namespace naiad {
namespace {

// A client's object of 256 bytes, registered as "r" from its 16th byte on.
struct Client {
  static constexpr std::size_t kSize = 240;

  Client() { REQUIRE(regions.register_system("r", object.key(), 16, kSize).ok()); }
  DecodeLimits limits() const {
    DecodeLimits with_regions;
    with_regions.regions = &regions;
    return with_regions;
  }
  // What the region holds at `offset`.
  std::string read(std::size_t offset, std::size_t size) const {
    return {reinterpret_cast<const char*>(object.bytes()) + 16 + offset, size};
  }
  void write(std::size_t offset, const std::string& bytes) const {
    std::memcpy(object.bytes() + 16 + offset, bytes.data(), bytes.size());
  }
  Decoded http(const std::string& body) const { return decode_http(body, std::nullopt, nullptr, limits()); }
  // An inference request with the one input A.
  Decoded http_input(const std::string& datatype, const std::string& shape, const std::string& parameters,
                     const std::string& more = "") const {
    return http(R"({"inputs":[{"name":"A","shape":)" + shape + R"(,"datatype":")" + datatype +
                R"(","parameters":{)" + parameters + "}" + more + "}]}");
  }
  Decoded http_output(const std::string& parameters) const {
    return http(R"({"inputs":[],"outputs":[{"parameters":{)" + parameters + R"(},"name":"Y"}]})");
  }

  test::SharedObject object{256};
  SharedRegions regions;
};

std::string place(const std::string& size, const std::string& offset = "0") {
  return R"("shared_memory_region":"r","shared_memory_byte_size":)" + size + R"(,"shared_memory_offset":)" +
         offset;
}

std::string grpc_place(std::uint64_t size, std::uint64_t offset, std::uint32_t field) {
  return length_field(field, map_entry("shared_memory_region", length_field(3, "r"))) +
         length_field(field, map_entry("shared_memory_byte_size", varint_field(2, size))) +
         length_field(field, map_entry("shared_memory_offset", varint_field(5, offset)));
}

std::string grpc_input(const std::string& name, const std::string& more) {
  return length_field(5, proto_input(name, "INT32", {2}) + more);
}

}  // namespace

TEST_CASE("an input is copied from shared memory, at the region's offset and its own") {
  const Client client;
  client.write(8, bytes_of<std::int32_t>({7, -8, 9}));
  const Decoded d = client.http_input("INT32", "[3]", place("12", "8"));
  REQUIRE(d.status.ok());
  CHECK(values_of<std::int32_t>(d.input().tensor) == std::vector<std::int32_t>{7, -8, 9});
  client.write(8, bytes_of<std::int32_t>({1, 1, 1}));
  CHECK(values_of<std::int32_t>(d.input().tensor) == std::vector<std::int32_t>{7, -8, 9});

  // The keys of an input come in any order.
  const Decoded first = client.http(R"({"inputs":[{"parameters":{)" + place("2") +
                                    R"(},"datatype":"FP16","shape":[1],"name":"A"}]})");
  CHECK(first.status.ok());
}

TEST_CASE("strings in shared memory are walked") {
  const Client client;
  client.write(0, wire_strings({"ab", "", "c"}));
  const Decoded d = client.http_input("BYTES", "[3]", place("15"));
  REQUIRE(d.status.ok());
  CHECK(text_of(d.input().tensor.bytes()) == wire_strings({"ab", "", "c"}));
  CHECK(client.http_input("BYTES", "[2]", place("15")).status.message() ==
        "unexpected number of string elements 3 for inference input 'A', expecting 2");
  CHECK(client.http_input("BYTES", "[3]", place("14")).status.code() == Code::kInvalidArgument);
  CHECK(client.http_input("BYTES", "[0]", place("0")).status.ok());
}

TEST_CASE("places that cannot be are refused") {
  const Client client;
  const auto message = [&](const std::string& parameters, const std::string& more = "") {
    const Decoded d = client.http_input("INT32", "[16]", parameters, more);
    CHECK((d.status.code() == Code::kInvalidArgument || d.status.code() == Code::kNotFound));
    CHECK(d.pool->usage().used_bytes == 0);
    return d.status.message();
  };
  CHECK(message(place("60")) == "input byte size mismatch for input 'A' for model 'm'. Expected 64, got 60");
  CHECK(message(place("64", "240")) == "Invalid offset for shared memory region: 'r'");
  CHECK(message(place("64", "177")) == "Invalid offset + byte size for shared memory region: 'r'");
  CHECK(message(place("18446744073709551584", "32")) ==
        "Invalid offset + byte size for shared memory region: 'r'");
  CHECK(message(R"("shared_memory_region":"s","shared_memory_byte_size":64)") ==
        "Unable to find shared memory region: 's'");
  CHECK(message(R"("shared_memory_region":"r")") ==
        "'shared_memory_byte_size' must be specified along with 'shared_memory_region' parameter for tensor "
        "'A'");
  CHECK(message(R"("shared_memory_byte_size":64)") ==
        "'shared_memory_region' must be specified along with 'shared_memory_byte_size' parameter for tensor "
        "'A'");
  CHECK(message(R"("shared_memory_offset":0)").find("'shared_memory_region' must be specified") == 0);
  CHECK(message(R"("shared_memory_region":1)") ==
        "Unable to parse 'shared_memory_region': expected a string");
  for (const std::string value : {"-1", "1.5", "\"64\"", "true"}) {
    CHECK(message(place(value)).find("Unable to parse 'shared_memory_byte_size'") == 0);
    CHECK(message(place("64", value)).find("Unable to parse 'shared_memory_offset'") == 0);
  }
  CHECK(message(place("64"), R"(,"data":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0])") ==
        "input 'A' has both 'data' and a place in shared memory");
  CHECK(message(place("64") + R"(,"binary_data_size":0)") ==
        "input 'A' has both 'binary_data_size' and a place in shared memory");
}

TEST_CASE("an output asks for shared memory and for nothing else") {
  const Client client;
  const Decoded d = client.http_output(place("64", "8") + R"(,"binary_data":false)");
  REQUIRE(d.status.ok());
  CHECK(d.request->wanted_outputs.at(0).shared.size_bytes() == 64);
  CHECK(client.http_output(place("64") + R"(,"binary_data":true)").status.message() ==
        "output 'Y' asks for shared memory and for 'binary_data'");
  CHECK(client.http_output(R"("classification":2,)" + place("64")).status.message() ==
        "output 'Y' asks for shared memory and for 'classification'");
  CHECK(client.http_output(place("64", "200")).status.code() == Code::kInvalidArgument);
  CHECK(client.http_output(R"("shared_memory_region":"s","shared_memory_byte_size":1)").status.code() ==
        Code::kNotFound);
}

TEST_CASE("gRPC: raw contents leave out the inputs that lie in shared memory") {
  const Client client;
  client.write(0, bytes_of<std::int32_t>({1, 2}));
  client.write(8, bytes_of<std::int32_t>({3, 4}));
  const std::string message =
      grpc_input("A", grpc_place(8, 0, 4)) + grpc_input("B", "") + grpc_input("C", grpc_place(8, 8, 4)) +
      grpc_input("D", "") + grpc_input("E", grpc_place(8, 0, 4)) +
      length_field(7, bytes_of<std::int32_t>({5, 6})) + length_field(7, bytes_of<std::int32_t>({7, 8}));
  const Decoded d = decode_grpc(message, client.limits());
  REQUIRE(d.status.ok());
  const std::vector<std::vector<std::int32_t>> expected{{1, 2}, {5, 6}, {3, 4}, {7, 8}, {1, 2}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(values_of<std::int32_t>(d.input(i).tensor) == expected[i]);
  }
  const std::string third = length_field(7, bytes_of<std::int32_t>({9, 9}));
  CHECK(decode_grpc(message + third, client.limits()).status.message() ==
        "expected 2 raw_input_contents, one for each input, got 3 for model ''");
}

TEST_CASE("gRPC: inputs all in shared memory, or beside typed ones") {
  const Client client;
  client.write(0, bytes_of<std::int32_t>({1, 2}));
  const Decoded alone = decode_grpc(grpc_input("A", grpc_place(8, 0, 4)), client.limits());
  REQUIRE(alone.status.ok());
  CHECK(values_of<std::int32_t>(alone.input().tensor) == std::vector<std::int32_t>{1, 2});

  const std::string contents = length_field(5, length_field(2, std::string("\x05\x06", 2)));
  const Decoded mixed =
      decode_grpc(grpc_input("A", grpc_place(8, 0, 4)) + grpc_input("B", contents), client.limits());
  REQUIRE(mixed.status.ok());
  CHECK(values_of<std::int32_t>(mixed.input(0).tensor) == std::vector<std::int32_t>{1, 2});
  CHECK(values_of<std::int32_t>(mixed.input(1).tensor) == std::vector<std::int32_t>{5, 6});

  CHECK(decode_grpc(grpc_input("A", contents + grpc_place(8, 0, 4)), client.limits()).status.message() ==
        "input 'A' has both 'contents' and a place in shared memory");
  CHECK(decode_grpc(grpc_input("A", grpc_place(4, 0, 4)), client.limits()).status.code() ==
        Code::kInvalidArgument);
  const Decoded output =
      decode_grpc(length_field(6, length_field(1, "Y") + grpc_place(8, 4, 2)), client.limits());
  REQUIRE(output.status.ok());
  CHECK(output.request->wanted_outputs.at(0).shared.size_bytes() == 8);
}

TEST_CASE("gRPC: what lies in shared memory has a shape that can be, and leaves no other contents over") {
  const Client client;
  const auto message = [](const std::vector<std::int64_t>& shape) {
    return length_field(5, proto_input("A", "INT32", shape) + grpc_place(8, 0, 4));
  };
  CHECK(decode_grpc(message({2}), client.limits()).status.ok());
  CHECK(decode_grpc(message({-2}), client.limits()).status.code() == Code::kInvalidArgument);
  CHECK(decode_grpc(message({3}), client.limits()).status.code() == Code::kInvalidArgument);
  const std::string output = length_field(1, "Y") + grpc_place(8, 0, 2);
  CHECK(decode_grpc(length_field(6, output), client.limits()).status.ok());
  const std::string beyond = length_field(1, "Y") + grpc_place(8, 300, 2);
  CHECK(decode_grpc(length_field(6, beyond), client.limits()).status.code() == Code::kInvalidArgument);
}

TEST_CASE("outputs go to shared memory; the response says only what they are") {
  const Client client;
  Answer answer;
  answer.add("X", DataType::kFp16, Shape{2}, "abcd");
  answer.add("Y", DataType::kInt8, Shape{1}, "z");
  answer.want("X");
  answer.want("Y");
  REQUIRE(client.regions.lease("r", 8, 6, answer.request->wanted_outputs[0].shared).ok());
  const Encoded http = encode_http(answer);
  REQUIRE(http.status.ok());
  CHECK(http.bytes.find(R"({"name":"X","datatype":"FP16","shape":[2]},{"name":"Y")") != std::string::npos);
  CHECK(!http.head.json_size_bytes);
  CHECK(client.read(8, 6) == std::string("abcd\0\0", 6));

  client.write(8, "......");
  const Encoded grpc = encode_grpc(answer);
  REQUIRE(grpc.status.ok());
  CHECK(client.read(8, 6) == "abcd..");
  // One entry for each output, so that the second is found by its position.
  CHECK(grpc.bytes.ends_with(length_field(6, "") + length_field(6, "z")));

  // Binary by default, the one that goes elsewhere does not.
  answer.request->binary_by_default = true;
  const Encoded binary = encode_http(answer);
  REQUIRE(binary.head.json_size_bytes);
  CHECK(binary.bytes.substr(*binary.head.json_size_bytes) == "z");
}

TEST_CASE("what lies on a GPU stays there for a model that reads it on one") {
  test::SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  REQUIRE(regions.register_gpu("r", test::SharedGpu::handle(), 0, 100).ok());
  DecodeLimits limits;
  limits.regions = &regions;
  const auto decode = [&](const std::string& datatype, const std::string& shape, const std::string& size) {
    return decode_http(R"({"inputs":[{"name":"A","shape":)" + shape + R"(,"datatype":")" + datatype +
                           R"(","parameters":{)" + place(size, "8") +
                           R"(}}],"outputs":[{"name":"Y","parameters":{)" + place("4", "40") + "}}]}",
                       std::nullopt, nullptr, limits);
  };
  const std::byte* const there = gpu.bytes->data() + 8;
  {
    const Decoded d = decode("INT32", "[3]", "12");
    REQUIRE(d.status.ok());
    CHECK(!d.input().tensor.is_on_gpu());
    CHECK(d.input().tensor.data != there);
  }
  limits.reads_on_gpu = [](std::string_view model, std::string_view input) {
    return model == "m" && input == "A";
  };
  Decoded d = decode("INT32", "[3]", "12");
  REQUIRE(d.status.ok());
  CHECK(d.input().tensor.is_on_gpu());
  CHECK(d.input().tensor.owner->device() == Device{DeviceKind::kGpu, 0});
  CHECK(d.input().tensor.data == there);
  CHECK(d.input().tensor.size_bytes == 12);
  CHECK(d.pool->usage().used_bytes == 0);
  CHECK(d.request->wanted_outputs.at(0).stays_on_gpu);
  // It is open for as long as somebody reads it.
  regions.unregister_gpu("r");
  CHECK(gpu.num_open == 1);
  d.request.reset();
  CHECK(gpu.num_open == 0);

  REQUIRE(regions.register_gpu("r", test::SharedGpu::handle(), 0, 100).ok());
  CHECK(decode("INT32", "[3]", "16").status.message() ==
        "input byte size mismatch for input 'A' for model 'm'. Expected 12, got 16");
  std::memcpy(gpu.bytes->data() + 8, wire_strings({"ab"}).data(), 6);
  const Decoded text = decode("BYTES", "[1]", "6");
  REQUIRE(text.status.ok());
  CHECK(!text.input().tensor.is_on_gpu());
}

TEST_CASE("an output on a GPU goes to a region on one, and nowhere else") {
  test::SharedGpu gpu;
  SharedRegions regions(gpu.opener());
  REQUIRE(regions.register_gpu("r", test::SharedGpu::handle(), 0, 100).ok());
  const test::SharedObject object{64};
  REQUIRE(regions.register_system("host", object.key(), 0, 64).ok());
  Answer answer;
  answer.add("X", DataType::kInt8, Shape{4}, "abcd");
  answer.want("X");
  SharedWindow made;
  REQUIRE(regions.lease("r", 50, 4, made).ok());
  std::memcpy(gpu.bytes->data() + 50, "wxyz", 4);
  Tensor& tensor = answer.response.outputs.at(0).tensor;
  tensor.owner = made.on_gpu();
  tensor.data = tensor.owner->data();
  CHECK(encode_http(answer).status.code() == Code::kInternal);
  REQUIRE(regions.lease("host", 0, 4, answer.request->wanted_outputs[0].shared).ok());
  CHECK(encode_http(answer).status.code() == Code::kInternal);
  REQUIRE(regions.lease("r", 8, 4, answer.request->wanted_outputs[0].shared).ok());
  CHECK(encode_http(answer).status.ok());
  CHECK(text_of({gpu.bytes->data() + 8, 4}) == "wxyz");
  CHECK(encode_grpc(answer).status.ok());
}

TEST_CASE("outputs that do not fit are all refused") {
  const Client client;
  Answer answer;
  answer.add("X", DataType::kInt8, Shape{4}, "abcd");
  answer.add("O", DataType::kInt8, Shape{64}, std::string(64, 'o'));
  answer.want("X");
  answer.want("O");
  REQUIRE(client.regions.lease("r", 0, 4, answer.request->wanted_outputs[0].shared).ok());
  REQUIRE(client.regions.lease("r", 4, 8, answer.request->wanted_outputs[1].shared).ok());
  for (const Status& status : {encode_http(answer).status, encode_grpc(answer).status}) {
    CHECK(status.code() == Code::kInternal);
    CHECK(
        status.message() ==
        "shared memory size specified with the request for output 'O' (8 bytes) should be at least 64 bytes "
        "to hold the results");
  }
  CHECK(client.read(0, 12) == std::string(12, '\0'));
  client.object.resize(32);
  answer.request->wanted_outputs.pop_back();
  CHECK(encode_http(answer).status.code() == Code::kInvalidArgument);
}

}  // namespace naiad
