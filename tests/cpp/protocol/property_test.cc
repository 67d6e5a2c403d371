#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>

#include "protocol/proto_kit.h"
#include "protocol/tensor_bytes.h"

using namespace naiad;

namespace {

constexpr DataType kTypes[] = {DataType::kBool,   DataType::kUint8, DataType::kUint16, DataType::kUint32,
                               DataType::kUint64, DataType::kInt8,  DataType::kInt16,  DataType::kInt32,
                               DataType::kInt64,  DataType::kFp16,  DataType::kFp32,   DataType::kFp64,
                               DataType::kBf16,   DataType::kBytes};

struct RandomTensor {
  DataType dtype = DataType::kInvalid;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

RandomTensor random_tensor(std::mt19937_64& random) {
  RandomTensor tensor;
  tensor.dtype = kTypes[random() % std::size(kTypes)];
  std::size_t count = 1;
  for (std::size_t rank = random() % 4; rank > 0; --rank) {
    tensor.shape.push_back(static_cast<std::int64_t>(random() % 5));
    count *= static_cast<std::size_t>(tensor.shape.back());
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (tensor.dtype == DataType::kBytes) {
      tensor.bytes += wire_strings({std::string(random() % 20, static_cast<char>(random()))});
    } else {
      for (std::size_t b = element_size_bytes(tensor.dtype); b > 0; --b)
        tensor.bytes += static_cast<char>(random());
    }
  }
  return tensor;
}

}  // namespace

TEST_CASE("random tensors come through both binary forms unchanged") {
  std::mt19937_64 random(2);
  for (int round = 0; round < 500; ++round) {
    std::vector<RandomTensor> tensors(random() % 4);
    std::string inputs;
    std::string raw;
    std::string json;
    std::string tail;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      RandomTensor& t = tensors[i] = random_tensor(random);
      const std::string name = "in" + std::to_string(i);
      inputs += length_field(5, proto_input(name, dtype_name(t.dtype), t.shape));
      raw += length_field(7, t.bytes);
      json += (i == 0 ? "" : ",") + std::string("{\"name\":\"") + name + "\",\"datatype\":\"" +
              std::string(dtype_name(t.dtype)) + "\",\"shape\":" + Shape(t.shape).to_string() +
              ",\"parameters\":{\"binary_data_size\":" + std::to_string(t.bytes.size()) + "}}";
      tail += t.bytes;
    }
    json = "{\"inputs\":[" + json + "]}";
    const Decoded forms[] = {decode_grpc(random() % 2 == 0 ? inputs + raw : raw + inputs),
                             decode_http(json + tail, json.size())};
    for (const Decoded& d : forms) {
      REQUIRE_MESSAGE(d.status.ok(), d.status.message());
      REQUIRE(d.request->given_inputs.size() == tensors.size());
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        CHECK(d.input(i).tensor.dtype == tensors[i].dtype);
        CHECK(d.input(i).tensor.shape == Shape(tensors[i].shape));
        CHECK(text_of(d.input(i).tensor.bytes()) == tensors[i].bytes);
      }
    }
  }
}

TEST_CASE("random FP64 bit patterns come through JSON unchanged, subnormals and all") {
  std::mt19937_64 random(3);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> values;
    while (values.size() < 400) {
      std::uint64_t bits = random();
      if (random() % 4 == 0) bits &= 0x800FFFFFFFFFFFFFULL;
      const auto value = std::bit_cast<double>(bits);
      if (!std::isnan(value)) values.push_back(value);
    }
    Answer answer;
    answer.add("Y", DataType::kFp64, {400}, bytes_of(values));
    const std::string text = encode_http(answer).bytes;
    const std::size_t data = text.find("\"data\":") + 7;
    const std::string array = text.substr(data, text.size() - data - 3);
    const Decoded d =
        decode_http(R"({"inputs":[{"name":"A","datatype":"FP64","shape":[400],"data":)" + array + "}]}");
    REQUIRE_MESSAGE(d.status.ok(), d.status.message());
    CHECK(text_of(d.input().tensor.bytes()) == bytes_of(values));
  }
}

TEST_CASE("random FP32 bit patterns come through JSON unchanged") {
  std::mt19937_64 random(4);
  for (int round = 0; round < 50; ++round) {
    std::vector<float> values;
    while (values.size() < 400) {
      const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
      if (!std::isnan(value)) values.push_back(value);
    }
    Answer answer;
    answer.add("Y", DataType::kFp32, {400}, bytes_of(values));
    const std::string text = encode_http(answer).bytes;
    const std::size_t data = text.find("\"data\":") + 7;
    const Decoded d = decode_http(R"({"inputs":[{"name":"A","datatype":"FP32","shape":[400],"data":)" +
                                  text.substr(data, text.size() - data - 3) + "}]}");
    REQUIRE_MESSAGE(d.status.ok(), d.status.message());
    CHECK(text_of(d.input().tensor.bytes()) == bytes_of(values));
  }
}

TEST_CASE("shape products agree with 128-bit arithmetic") {
  std::mt19937_64 random(5);
  __extension__ using Wide = unsigned __int128;
  for (int round = 0; round < 200000; ++round) {
    Shape shape;
    Wide product = 1;
    bool zero = false;
    bool negative = false;
    for (std::size_t rank = random() % 5; rank > 0; --rank) {
      std::int64_t dim = static_cast<std::int64_t>(random() >> (random() % 64));
      if (random() % 8 != 0 && dim < 0) dim = -(dim + 1);
      shape.push_back(dim);
      negative |= dim < 0;
      zero |= dim == 0;
      // Saturated above any 64-bit value: times a dimension it still fits in 128 bits.
      if (dim > 0) product = std::min(product * static_cast<Wide>(dim), Wide{1} << 64);
    }
    const DataType dtype = kTypes[random() % (std::size(kTypes) - 1)];
    const Wide limit = Wide{1} << 64;
    const Wide total = zero ? 0 : product * element_size_bytes(dtype);
    const bool count_fits = !negative && product < limit;
    const Status status =
        check_tensor_bytes("A", "m", {dtype, shape, nullptr, static_cast<std::size_t>(total), {}});
    CHECK(shape.num_elements().has_value() == count_fits);
    CHECK(check_shape("A", "m", shape).ok() == count_fits);
    CHECK(status.ok() == (count_fits && total < limit));
  }
}

TEST_CASE("damaged requests are read or refused, never more") {
  std::mt19937_64 random(6);
  const std::string json =
      R"({"id":"1","inputs":[{"name":"A","shape":[2],"datatype":"FP32","data":[1.5,-2e3]},)"
      R"({"name":"S","shape":[1],"datatype":"BYTES","data":["\u00e9\n"]}],"outputs":[{"name":"Y","parameters":{"classification":1}}],)"
      R"("parameters":{"sequence_id":5,"k":true}})";
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = json;
    for (std::size_t hits = 1 + random() % 3; hits > 0; --hits) {
      const std::size_t at = random() % damaged.size();
      switch (random() % 3) {
        case 0:
          damaged[at] = static_cast<char>(random());
          break;
        case 1:
          damaged.erase(at, 1 + random() % 4);
          break;
        default:
          damaged.insert(at, damaged.substr(random() % damaged.size(), random() % 8));
      }
      if (damaged.empty()) damaged = "{";
    }
    const Status status = decode_http(damaged).status;
    if (!status.ok()) {
      CHECK((status.code() == Code::kInvalidArgument || status.code() == Code::kUnsupported));
    }
  }
}
