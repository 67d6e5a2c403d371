#include "execute/rows.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

#include "base/error.h"

using namespace naiad;

namespace {

Tensor bytes_tensor(Shape shape, const std::vector<std::string>& elements) {
  std::string wire;
  for (const std::string& element : elements) {
    const auto length = static_cast<std::uint32_t>(element.size());
    wire.append(reinterpret_cast<const char*>(&length), sizeof length);
    wire += element;
  }
  BufferRef buffer = make_heap_buffer(wire.size());
  std::memcpy(buffer->data(), wire.data(), wire.size());
  return {DataType::kBytes, std::move(shape), buffer->data(), wire.size(), std::move(buffer)};
}

TensorSpec reshaped(Shape dims, Shape reshape) {
  return {"T", DataType::kFp32, std::move(dims), std::move(reshape), false, {}};
}

}  // namespace

TEST_CASE("rows of numbers are cut without a copy") {
  BufferRef buffer = make_heap_buffer(24);
  const Tensor batch{DataType::kFp32, Shape{3, 2}, buffer->data(), 24, buffer};
  RowCutter cutter(batch);
  const Tensor first = cutter.next(1);
  const Tensor rest = cutter.next(2);
  CHECK(first.shape == Shape{1, 2});
  CHECK(first.data == buffer->data());
  CHECK(first.size_bytes == 8);
  CHECK(rest.shape == Shape{2, 2});
  CHECK(rest.data == buffer->data() + 8);
  CHECK(rest.size_bytes == 16);
}

TEST_CASE("rows of strings are found by their lengths") {
  const Tensor batch = bytes_tensor(Shape{3, 1}, {"a", "", "long one"});
  RowCutter cutter(batch);
  CHECK(cutter.next(1).size_bytes == 5);
  CHECK(cutter.next(1).size_bytes == 4);
  CHECK(cutter.next(1).size_bytes == 12);
  CHECK_THROWS_AS(cutter.next(1), Error);
}

TEST_CASE("rows of no elements") {
  BufferRef buffer = make_heap_buffer(0);
  const Tensor batch{DataType::kFp32, Shape{2, 0}, buffer->data(), 0, buffer};
  RowCutter cutter(batch);
  CHECK(cutter.next(2).size_bytes == 0);
}

TEST_CASE("reshape there and back, variable dimensions in order") {
  const TensorSpec spec = reshaped(Shape{-1, 4, -1}, Shape{-1, 2, 2, -1});
  const Shape inside = apply_reshape(spec, Shape{5, 7, 4, 9}, true);
  CHECK(inside == Shape{5, 7, 2, 2, 9});
  CHECK(undo_reshape(spec, inside, true) == Shape{5, 7, 4, 9});
  CHECK_THROWS_AS(undo_reshape(spec, Shape{5, 7, 2, 3, 9}, true), Error);
  CHECK_THROWS_AS(undo_reshape(spec, Shape{5, 7}, true), Error);
}

TEST_CASE("a scalar reshape leaves the batch dimension alone") {
  const TensorSpec spec = reshaped(Shape{1}, Shape{});
  CHECK(apply_reshape(spec, Shape{3, 1}, true) == Shape{3});
  CHECK(undo_reshape(spec, Shape{3}, true) == Shape{3, 1});
}
