#include "protocol/text_events.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "memory/buffer.h"

using namespace naiad;

namespace {

Tensor strings(const std::vector<std::string>& texts) {
  std::string wire;
  for (const std::string& text : texts) {
    const auto size = static_cast<std::uint32_t>(text.size());
    wire.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
  }
  BufferRef buffer = make_heap_buffer(wire.size());
  std::memcpy(buffer->data(), wire.data(), wire.size());
  return {DataType::kBytes, Shape{static_cast<std::int64_t>(texts.size())}, buffer->data(), wire.size(),
          buffer};
}

template <typename T>
Tensor number(DataType dtype, T value) {
  BufferRef buffer = make_heap_buffer(sizeof value);
  std::memcpy(buffer->data(), &value, sizeof value);
  return {dtype, Shape{1}, buffer->data(), sizeof value, buffer};
}

// Of the outputs text_output, finish_reason, num_input_tokens, num_output_tokens.
Response said(const std::string& text, const std::string& reason = "None") {
  Response response;
  response.outputs.push_back({0, strings({text})});
  response.outputs.push_back({1, strings({reason})});
  return response;
}

TextFrame short_frame() {
  TextFrame frame;
  frame.model = "m";
  frame.before_text = "<";
  frame.after_text = ">";
  frame.before_reason = "[";
  frame.after_reason = "]";
  frame.closing = "!";
  return frame;
}

struct Scene {
  explicit Scene(TextFrame frame) : events(std::move(frame)) {
    auto made = std::make_shared<ModelSpec>();
    made->name = "m";
    for (const char* name : {"text_output", "finish_reason"})
      made->outputs.push_back({name, DataType::kBytes, Shape{-1}, {}, false, {}});
    for (const char* name : {"num_input_tokens", "num_output_tokens"}) {
      made->outputs.push_back({name, DataType::kUint32, Shape{1}, {}, false, {}});
    }
    request.spec = made;
  }
  std::string add(const Response& response) {
    std::string text;
    status = events.add(text, request, response);
    return text;
  }
  std::string finish() {
    std::string text;
    status = events.finish(text);
    return text;
  }

  Request request;
  TextEvents events;
  Status status;
};

}  // namespace

TEST_CASE("text frame: what the control plane writes is read") {
  TextFrame frame;
  const Status status = read_text_frame(
      R"({"model":"m","opening":"o\n","before_text":"a","after_text":"b","ends_with_text":true,)"
      R"("before_end_text":"c","before_reason":"d","after_reason":"e","before_usage":"f","after_usage":"g",)"
      R"("closing":"h","has_empty":true})",
      frame);
  REQUIRE(status.ok());
  CHECK(frame.model == "m");
  CHECK(frame.opening == "o\n");
  CHECK(frame.before_text + frame.after_text + frame.before_end_text + frame.before_reason +
            frame.after_reason + frame.before_usage + frame.after_usage + frame.closing ==
        "abcdefgh");
  CHECK(frame.ends_with_text);
  CHECK(frame.has_empty);
}

TEST_CASE("text frame: anything else is a fault of the server") {
  for (const char* json :
       {"", "[]", "{}", R"({"model":1})", R"({"model":"m","other":"x"})", R"({"model":"m"}x)",
        R"({"model":"m","has_empty":"true"})", R"({"model":"m","closing":"x)"}) {
    TextFrame frame;
    CHECK_MESSAGE(read_text_frame(json, frame).code() == Code::kInternal, json);
  }
}

TEST_CASE("text events: texts within their frame, the reason at the end") {
  Scene scene(short_frame());
  CHECK(scene.add(said("a\"")) == R"(<"a\"">)");
  CHECK(scene.add(said("b", "")) == R"(<"b">)");
  CHECK(scene.add(said("c", "stop")) == R"(<"c">["stop"])");
  CHECK(scene.add(said("too late")) == "");
  CHECK(scene.finish() == "");
  CHECK(scene.status.ok());
}

TEST_CASE("text events: an end with the text in it, and a token that shows nothing yet") {
  TextFrame frame = short_frame();
  frame.opening = "(";
  CHECK(Scene(frame).add(said("")) == "(");  // the first token, whatever it shows
  frame.has_empty = true;
  frame.ends_with_text = true;
  frame.before_end_text = "{";
  Scene scene(frame);
  CHECK(scene.add(said("")) == R"((<"">)");
  CHECK(scene.add(said("x", "length")) == R"({"x"["length"])");
}

TEST_CASE("text events: a model that names no reason has stopped; one that says nothing has failed") {
  Scene scene(short_frame());
  Response bare;
  bare.outputs.push_back({0, strings({"a", "of another answer"})});
  CHECK(scene.add(bare) == R"(<"a">)");
  CHECK(scene.finish() == R"(["stop"])");

  Scene silent(short_frame());
  CHECK(silent.add(Response{}) == "");
  CHECK(silent.finish() == "");
  CHECK(silent.status.code() == Code::kInternal);
}

TEST_CASE("text events: tokens are counted") {
  TextFrame frame = short_frame();
  frame.before_usage = "u";
  frame.after_usage = "v";
  Scene scene(frame);
  for (const char* reason : {"None", "stop"}) {
    Response response = said("a", reason);
    response.outputs.push_back({2, number<std::uint32_t>(DataType::kUint32, 7)});
    response.outputs.push_back({3, number<std::uint32_t>(DataType::kUint32, 2)});
    scene.add(response);
  }
  CHECK(scene.finish() == R"(u{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}v)");
  Response odd = said("a");
  odd.outputs.push_back({2, number<float>(DataType::kFp32, 1)});
  Scene(frame).add(odd);
  Scene other(frame);
  CHECK(other.add(odd) == "");
  CHECK(other.status.code() == Code::kInternal);
}

TEST_CASE("text events: what is no UTF-8 is repaired, what is no text is refused") {
  Scene scene(short_frame());
  CHECK(scene.add(said("a\xff")) == "<\"a\uFFFD\">");
  Response numbers;
  numbers.outputs.push_back({0, number<float>(DataType::kFp32, 1)});
  CHECK(scene.add(numbers) == "");
  CHECK(scene.status.code() == Code::kInternal);
  Response cut = said("abc");
  cut.outputs[0].tensor.size_bytes = 3;
  scene.add(cut);
  CHECK(scene.status.code() == Code::kInternal);
}

TEST_CASE("text events: failures and answers that were broken off") {
  Scene scene(short_frame());
  Response failed;
  failed.status = {Code::kUnavailable, "died"};
  CHECK(scene.add(failed) == "");
  CHECK(scene.status.message() == "died");
  CHECK(scene.add(said("a", "abort")) == "");
  CHECK(scene.status.code() == Code::kUnavailable);
}
