#include "execute/worker_wire.h"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <vector>

namespace naiad {
namespace {

std::array<std::byte, 64> memory{};

Tensor tensor_of(DataType dtype, Shape shape, std::size_t size_bytes) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.size_bytes = size_bytes;
  tensor.data = memory.data();
  return tensor;
}

TensorPlace place(const Tensor& tensor) {
  return {ArenaName::kWorker, static_cast<std::uint64_t>(tensor.data - memory.data()), 7};
}

// As the server does: what lies outside of the memory is refused.
Tensor find(const TensorPlace& at, std::size_t size_bytes) {
  if (size_bytes > memory.size() || at.offset > memory.size() - size_bytes) MessageReader::malformed();
  Tensor tensor;
  tensor.data = memory.data() + at.offset;
  tensor.size_bytes = size_bytes;
  return tensor;
}

Response example() {
  Response response;
  response.outputs.push_back({0, tensor_of(DataType::kFp32, Shape{2, 3}, 24)});
  response.outputs.push_back({1, tensor_of(DataType::kBytes, Shape{1}, 9)});
  response.parameters.push_back({"text", std::string("value")});
  response.parameters.push_back({"number", std::int64_t{-4}});
  response.parameters.push_back({"flag", true});
  return response;
}

}  // namespace

TEST_CASE("a response arrives as it was sent") {
  MessageWriter message;
  write_response(message, example(), place);
  MessageReader reader(message.bytes());
  const Response got = read_response(reader, 2, find);
  REQUIRE(got.outputs.size() == 2);
  CHECK(got.outputs[0].tensor.shape == Shape{2, 3});
  CHECK(got.outputs[0].tensor.data == memory.data());
  CHECK(got.outputs[1].tensor.dtype == DataType::kBytes);
  CHECK(got.outputs[1].tensor.size_bytes == 9);
  REQUIRE(got.parameters.size() == 3);
  CHECK(std::get<std::string>(got.parameters[0].value) == "value");
  CHECK(std::get<std::int64_t>(got.parameters[1].value) == -4);
  CHECK(std::get<bool>(got.parameters[2].value));
}

TEST_CASE("a worker knows which inputs are ragged, made of the batch, or set shapes") {
  ModelSpec sent;
  sent.name = "m";
  for (const char* name : {"X", "SIZE", "COUNT"}) {
    sent.inputs.push_back({name, DataType::kInt32, Shape{-1}, {}, false, {}});
  }
  sent.inputs[0].ragged = true;
  sent.inputs[1].shape_values = true;
  sent.inputs[2].generated = true;
  sent.outputs.push_back({"Y", DataType::kInt32, Shape{-1}, {}, false, {}});
  sent.batch_inputs.push_back({BatchInputKind::kItemShape, 2, 0});
  sent.batch_outputs.push_back({0, 1});
  MessageWriter message;
  write_spec(message, sent);
  MessageReader reader(message.bytes());
  const ModelSpec got = read_spec(reader);
  CHECK(got.inputs[0].ragged);
  CHECK(got.inputs[1].shape_values);
  CHECK(got.inputs[2].generated);
  REQUIRE(got.batch_inputs.size() == 1);
  CHECK(got.batch_inputs[0].kind == BatchInputKind::kItemShape);
  CHECK(got.batch_inputs[0].input == 2);
  REQUIRE(got.batch_outputs.size() == 1);
  CHECK(got.batch_outputs[0].source == 1);

  sent.batch_inputs[0].source = 3;
  message.clear();
  write_spec(message, sent);
  MessageReader wrong(message.bytes());
  CHECK_THROWS_AS(read_spec(wrong), Error);
}

TEST_CASE("the names of a call outlive the message that brought them") {
  Request sent;
  sent.model_name = "a model with a rather long name";
  sent.wanted_outputs.push_back({"an output with a rather long name", 0, {}});
  sent.given_inputs.push_back({"IN", tensor_of(DataType::kInt32, Shape{4}, 16)});
  Request got;
  {
    MessageWriter message;
    write_call(message, sent, place);
    MessageReader reader(message.bytes());
    read_call(reader, got, find);
    message.clear();
    for (int i = 0; i < 100; ++i) message.put(std::uint8_t{0xEE});
  }
  CHECK(got.model_name == "a model with a rather long name");
  CHECK(got.wanted_outputs.front().name == "an output with a rather long name");
  CHECK(got.given_inputs.front().name == "IN");
}

TEST_CASE("a size that does not fit the shape, or an output that there is not, is refused") {
  MessageWriter message;
  Response response;
  response.outputs.push_back({0, tensor_of(DataType::kFp32, Shape{2, 3}, 20)});
  write_response(message, response, place);
  MessageReader reader(message.bytes());
  CHECK_THROWS_AS(read_response(reader, 2, find), Error);
  message.clear();
  write_response(message, example(), place);
  MessageReader again(message.bytes());
  CHECK_THROWS_AS(read_response(again, 1, find), Error);
}

TEST_CASE("messages that are cut or changed anywhere are an Error or a response within the memory") {
  MessageWriter message;
  write_response(message, example(), place);
  const std::vector<std::byte> whole(message.bytes().begin(), message.bytes().end());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::span<const std::byte> all(whole);
    MessageReader reader(all.first(size));
    CHECK_THROWS_AS(read_response(reader, 2, find), Error);
  }
  std::mt19937 random(5);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> changed = whole;
    for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<std::byte>(random());
    MessageReader reader(changed);
    try {
      const Response got = read_response(reader, 2, find);
      for (const OutputTensor& output : got.outputs) {
        REQUIRE(output.index < 2);
        REQUIRE(output.tensor.data + output.tensor.size_bytes <= memory.data() + memory.size());
      }
    } catch (const Error& error) {
      REQUIRE(error.code() == Code::kInternal);
    }
  }
}

}  // namespace naiad
