#include "engine/response_codec.h"

#include <doctest/doctest.h>

#include <random>

#include "fakes/requests.h"
#include "fakes/seeds.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr SipHash128::Key kSecret{1, 2};
constexpr Digest128 kKey{3, 4};

ModelSpec model() {
  ModelSpec spec = row_model(8);
  spec.outputs.push_back({"T", DataType::kBytes, Shape{-1}, {}, false, {}});
  return spec;
}

Tensor texts(const std::string& bytes, Shape shape) {
  BufferRef buffer = make_heap_buffer(bytes.size());
  std::ranges::copy(std::as_bytes(std::span(bytes)), buffer->data());
  return {DataType::kBytes, std::move(shape), buffer->data(), bytes.size(), std::move(buffer)};
}

Response answer() {
  using namespace std::string_literals;
  Response response;
  response.outputs.push_back({0, floats(Shape{1, 3}, {1, 2, 3})});
  response.outputs.push_back({1, texts("\x02\0\0\0ab\0\0\0\0"s, Shape{2})});
  response.parameters = {{"yes", true},
                         {"less", std::int64_t{-5}},
                         {"more", std::uint64_t{1} << 63},
                         {"part", 0.5},
                         {"text", "a\0b"s}};
  return response;
}

std::string encoded() {
  return encode_response(answer(), kKey, kSecret);
}

bool decodes(const std::string& bytes) {
  return decode_response(bytes, kKey, kSecret, model()).has_value();
}

// With the mark of who has the secret.
std::string signed_again(std::string bytes) {
  bytes.resize(bytes.size() - sizeof(Digest128));
  SipHash128 hash(kSecret);
  hash.update(std::string_view(bytes));
  const Digest128 mark = hash.digest();
  bytes.append(reinterpret_cast<const char*>(&mark), sizeof mark);
  return bytes;
}

}  // namespace

TEST_CASE("codec: an answer comes back as it was") {
  const auto back = decode_response(encoded(), kKey, kSecret, model());
  REQUIRE(back.has_value());
  const Response before = answer();
  REQUIRE(back->outputs.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const Tensor& tensor = back->outputs[i].tensor;
    CHECK(back->outputs[i].index == i);
    CHECK(tensor.dtype == before.outputs[i].tensor.dtype);
    CHECK(tensor.shape == before.outputs[i].tensor.shape);
    CHECK(std::ranges::equal(tensor.bytes(), before.outputs[i].tensor.bytes()));
  }
  REQUIRE(back->parameters.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(back->parameters[i].name == before.parameters[i].name);
    CHECK(back->parameters[i].value == before.parameters[i].value);
  }
  CHECK(decode_response(encode_response({}, kKey, kSecret), kKey, kSecret, model()).has_value());
}

TEST_CASE("codec: of another key, secret or model it is no entry") {
  CHECK_FALSE(decode_response(encoded(), {3, 5}, kSecret, model()).has_value());
  CHECK_FALSE(decode_response(encoded(), kKey, {1, 3}, model()).has_value());
  CHECK_FALSE(decode_response(encoded(), kKey, kSecret, row_model(8)).has_value());
  ModelSpec other = model();
  other.outputs[0].dtype = DataType::kInt32;
  CHECK_FALSE(decode_response(encoded(), kKey, kSecret, other).has_value());
}

TEST_CASE("property: what is cut or changed anywhere is no entry, signed or not, and harms nobody") {
  const std::string whole = encoded();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(decodes(whole.substr(0, size)));
    if (size >= sizeof(Digest128)) CHECK_FALSE(decodes(signed_again(whole.substr(0, size))));
  }
  CHECK_FALSE(decodes(whole + "x"));
  std::mt19937_64 random(20261128);
  for (std::size_t place = 0; place < whole.size(); ++place) {
    std::string changed = whole;
    changed[place] = static_cast<char>(changed[place] ^ static_cast<char>(1 << (random() % 8)));
    CHECK_FALSE(decodes(changed));
    decodes(signed_again(changed));  // may be another answer, and reads nothing beyond its end
  }
  for (int round = 0; round < 20000; ++round) {
    std::string changed = whole;
    for (int change = 0; change < 4; ++change) {
      changed[random() % changed.size()] = static_cast<char>(random());
    }
    decodes(signed_again(changed));
  }
}
