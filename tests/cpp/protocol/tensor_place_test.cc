#include "protocol/tensor_place.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/http1.h"

using namespace naiad;

namespace {

std::string varint(std::uint64_t value) {
  std::string text;
  for (; value > 0x7F; value >>= 7) text += static_cast<char>((value & 0x7F) | 0x80);
  return text + static_cast<char>(value);
}

std::string length_field(unsigned number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}

std::size_t offset_in(const std::string& message, std::size_t seen) {
  return first_tensor_offset(std::as_bytes(std::span(message)).first(seen));
}

std::size_t offset_of_head(const std::string& fields) {
  const std::string text = "POST /v2/models/m/infer HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
  Http1Head head;
  std::size_t scanned = 0;
  REQUIRE(parse_http1_request(std::as_bytes(std::span(text)), Http1Limits{}, head, scanned).outcome ==
          Http1Outcome::kComplete);
  return first_tensor_offset(head);
}

}  // namespace

TEST_CASE("tensor place: a shift brings the offset to a multiple of the alignment") {
  for (std::size_t offset = 0; offset < 300; ++offset) {
    CHECK(aligning_shift(offset) < kTensorAlignment);
    CHECK((offset + aligning_shift(offset)) % kTensorAlignment == 0);
  }
}

TEST_CASE("tensor place: what an HTTP head announces, if it can be read") {
  CHECK(offset_of_head("Inference-Header-Content-Length: 187\r\n") == 187);
  CHECK(offset_of_head("Inference-Header-Content-Length: 0\r\n") == 0);
  CHECK(offset_of_head("Inference-Header-Content-Length: much\r\n") == 0);
  CHECK(offset_of_head("") == 0);
}

TEST_CASE("tensor place: the first tensor of a ModelInferRequest that goes beyond what is there") {
  const std::string before = length_field(1, "model") + length_field(5, std::string(40, 'i'));
  const std::string small = length_field(7, std::string(8, 's'));
  const std::string large = length_field(7, std::string(100'000, 'l'));
  const std::string message = before + small + large;
  const std::size_t begin = message.size() - 100'000;
  CHECK(offset_in(message, begin) == begin);
  CHECK(offset_in(message, begin + 1) == begin);
  CHECK(offset_in(message, message.size() - 1) == begin);
  // All is there, or too little to see it, or the small one is the one that is not whole.
  CHECK(offset_in(message, message.size()) == 0);
  CHECK(offset_in(message, begin - 1) == 0);
  CHECK(offset_in(message, before.size() + 4) == before.size() + 2);
  for (std::size_t seen = 0; seen < before.size(); ++seen) CHECK(offset_in(message, seen) == 0);
  // A number under that field is no tensor.
  CHECK(offset_in(varint(7 << 3) + varint(300) + large, 50) == 3 + 4);
}
