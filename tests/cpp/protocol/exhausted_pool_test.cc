#include <doctest/doctest.h>

#include <string>

#include "fakes/shared_object.h"
#include "memory/shared_regions.h"
#include "protocol/codec_kit.h"
#include "protocol/generate.h"
#include "protocol/proto_kit.h"

namespace naiad {
namespace {

// What a form of request says with a pool of so many bytes.
using Decode = Status (*)(std::size_t capacity_bytes);

ModelSpec spec_of(DataType dtype) {
  ModelSpec spec;
  spec.name = "m";
  TensorSpec input;
  input.name = "A";
  input.dtype = dtype;
  input.dims = Shape{1};
  spec.inputs.push_back(input);
  return spec;
}

Status http(std::size_t capacity_bytes, const std::string& body, const DecodeLimits& limits = {}) {
  HeapPool pool(capacity_bytes);
  Request request;
  request.model_name = "m";
  request.body = body_of(body);
  return decode_v2_http({request.body->data(), body.size()}, std::nullopt, nullptr, pool, limits, request);
}

Status json_numbers(std::size_t capacity_bytes) {
  return http(capacity_bytes, R"({"inputs":[{"name":"A","shape":[4],"datatype":"INT32","data":[1,2,3,4]}]})");
}

Status json_strings(std::size_t capacity_bytes) {
  return http(capacity_bytes,
              R"({"inputs":[{"name":"A","shape":[2],"datatype":"BYTES","data":["abcd","efgh"]}]})");
}

Status json_before_its_shape(std::size_t capacity_bytes) {
  return http(capacity_bytes, R"({"inputs":[{"data":[1,2,3,4],"datatype":"INT32","shape":[4],"name":"A"}]})");
}

Status raw_string(std::size_t capacity_bytes) {
  HeapPool pool(capacity_bytes);
  Request request;
  request.model_name = "m";
  request.body = body_of("twelve bytes");
  const ModelSpec spec = spec_of(DataType::kBytes);
  return decode_v2_http({request.body->data(), request.body->size_bytes()}, 0, &spec, pool, {}, request);
}

Status generate(std::size_t capacity_bytes) {
  HeapPool pool(capacity_bytes);
  Request request;
  request.model_name = "m";
  request.body = body_of(R"({"A":"twelve bytes"})");
  const ModelSpec spec = spec_of(DataType::kBytes);
  return decode_generate({request.body->data(), request.body->size_bytes()}, spec, pool, {}, request);
}

Status grpc_contents(std::size_t capacity_bytes) {
  HeapPool pool(capacity_bytes);
  Request request;
  const std::string contents = length_field(2, varint(1) + varint(2) + varint(3) + varint(4));
  request.body = body_of(length_field(5, proto_input("A", "INT32", {4}) + length_field(5, contents)));
  return decode_v2_grpc({request.body->data(), request.body->size_bytes()}, pool, {}, request);
}

Status shared_memory(std::size_t capacity_bytes) {
  const test::SharedObject object(64);
  SharedRegions regions;
  REQUIRE(regions.register_system("r", object.key(), 0, 64).ok());
  DecodeLimits limits;
  limits.regions = &regions;
  return http(capacity_bytes,
              R"({"inputs":[{"name":"A","shape":[4],"datatype":"INT32","parameters":)"
              R"({"shared_memory_region":"r","shared_memory_byte_size":16}}]})",
              limits);
}

}  // namespace

TEST_CASE("every form of a tensor says that the pool is exhausted, and is read where it is not") {
  const std::pair<const char*, Decode> forms[] = {
      {"numbers in JSON", json_numbers},
      {"strings in JSON", json_strings},
      {"data before its shape", json_before_its_shape},
      {"a raw string", raw_string},
      {"generate", generate},
      {"contents of gRPC", grpc_contents},
      {"shared memory", shared_memory},
  };
  for (const auto& row : forms) {
    const auto& [form, decode] = row;
    CAPTURE(row.first);
    const Status status = decode(15);
    CHECK(status.code() == Code::kUnavailable);
    CHECK(status.message().starts_with("tensor memory is exhausted"));
    CHECK(decode(16).ok());
  }
}

}  // namespace naiad
