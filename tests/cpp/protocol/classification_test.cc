#include "protocol/classification.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>

#include "protocol/codec_kit.h"
#include "protocol/tensor_bytes.h"

using namespace naiad;

namespace {

std::vector<std::string> classes_of(DataType dtype, Shape shape, const std::string& bytes,
                                    std::uint32_t count, bool batched, Shape& out) {
  TensorSpec spec;
  spec.name = "Y";
  spec.labels = {"apple", "pickle", "cherry"};
  const auto view = std::as_bytes(std::span(bytes));
  Classes classes;
  REQUIRE(
      classify({dtype, std::move(shape), view.data(), view.size(), {}}, spec, count, batched, classes).ok());
  out = classes.shape;
  std::vector<std::string> found;
  BytesElements elements(std::as_bytes(std::span(classes.bytes)));
  while (const auto element = elements.next()) found.emplace_back(*element);
  CHECK(elements.rest().empty());
  return found;
}

}  // namespace

TEST_CASE("classes are found per row of a batch") {
  Shape shape;
  CHECK(classes_of(DataType::kFp32, {2, 3}, bytes_of<float>({1, 2, 3, 30, 20, 10}), 1, true, shape) ==
        std::vector<std::string>{"3.000000:2:cherry", "30.000000:0:apple"});
  CHECK(shape == Shape{2, 1});
  CHECK(classes_of(DataType::kInt32, {1, 4}, bytes_of<std::int32_t>({3, 9, 1, 0}), 2, true, shape) ==
        std::vector<std::string>{"9:1:pickle", "3:0:apple"});
}

TEST_CASE("more classes than elements, ties and NaN") {
  Shape shape;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(classes_of(DataType::kFp32, {4}, bytes_of<float>({nan, 2, 2, -1}), 10, false, shape) ==
        std::vector<std::string>{"2.000000:1:pickle", "2.000000:2:cherry", "-1.000000:3", "nan:0:apple"});
  CHECK(shape == Shape{4});
  CHECK(classes_of(DataType::kFp32, {0, 3}, "", 2, true, shape).empty());
  CHECK(shape == Shape{0, 0});
  CHECK(classes_of(DataType::kFp32, {2, 0}, "", 2, true, shape).empty());
  CHECK(shape == Shape{2, 0});
}

TEST_CASE("a single value of a model that batches is one row, and labels may be left out") {
  Shape shape;
  CHECK(classes_of(DataType::kFp32, {}, bytes_of<float>({5}), 3, true, shape) ==
        std::vector<std::string>{"5.000000:0:apple"});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(classes_of(DataType::kFp32, {3}, bytes_of<float>({nan, nan, 1}), 3, false, shape) ==
        std::vector<std::string>{"1.000000:2:cherry", "nan:0:apple", "nan:1:pickle"});
  TensorSpec spec;
  spec.labels = {"", "second"};
  Classes classes;
  const std::string bytes = bytes_of<std::int32_t>({9, 8});
  const auto view = std::as_bytes(std::span(bytes));
  REQUIRE(classify({DataType::kInt32, {2}, view.data(), view.size(), {}}, spec, 2, false, classes).ok());
  CHECK(classes.bytes == wire_strings({"9:0", "8:1:second"}));
}

TEST_CASE("every numeric datatype has classes") {
  Shape shape;
  const auto top = [&](DataType dtype, const std::string& bytes) {
    return classes_of(dtype, {2}, bytes, 1, false, shape).at(0);
  };
  CHECK(top(DataType::kUint8, bytes_of<std::uint8_t>({1, 200})) == "200:1:pickle");
  CHECK(top(DataType::kInt8, bytes_of<std::int8_t>({1, -100})) == "1:0:apple");
  CHECK(top(DataType::kUint16, bytes_of<std::uint16_t>({1, 60000})) == "60000:1:pickle");
  CHECK(top(DataType::kInt16, bytes_of<std::int16_t>({1, -1})) == "1:0:apple");
  CHECK(top(DataType::kUint32, bytes_of<std::uint32_t>({1, 4000000000U})) == "4000000000:1:pickle");
  CHECK(top(DataType::kInt64, bytes_of<std::int64_t>({-1, -2})) == "-1:0:apple");
  CHECK(top(DataType::kUint64, bytes_of<std::uint64_t>({0, 18446744073709551615ULL})) ==
        "18446744073709551615:1:pickle");
  CHECK(top(DataType::kFp64, bytes_of<double>({0.25, 0.5})) == "0.500000:1:pickle");
  CHECK(top(DataType::kFp16, bytes_of<std::uint16_t>({0x3C00, 0xC000})) == "1.000000:0:apple");
  CHECK(top(DataType::kFp16, bytes_of<std::uint16_t>({0x0001, 0x7C00})) == "inf:1:pickle");
  CHECK(top(DataType::kFp16, bytes_of<std::uint16_t>({0xC000, 0xBC00})) == "-1.000000:1:pickle");
  CHECK(top(DataType::kFp16, bytes_of<std::uint16_t>({0xFC00, 0x8001})) == "-0.000000:1:pickle");
  CHECK(top(DataType::kBf16, bytes_of<std::uint16_t>({0x3F80, 0x4049})) == "3.140625:1:pickle");
}

TEST_CASE("strings and booleans have no classes") {
  TensorSpec spec;
  spec.name = "Y";
  Classes classes;
  CHECK(classify({DataType::kBytes, {1}, nullptr, 0, {}}, spec, 1, false, classes).code() ==
        Code::kInvalidArgument);
  CHECK(classify({DataType::kBool, {0}, nullptr, 0, {}}, spec, 1, false, classes).code() ==
        Code::kInvalidArgument);
}
