// Requests that the control plane reads and hands over to the core, which asks the model and answers.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "control_fake.h"
#include "fakes/comes_true.h"
#include "session_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::string_view kFrame =
    R"({"model":"writer","opening":"open ","before_text":"<","after_text":">","before_reason":"[",)"
    R"("after_reason":"]","closing":" done"})";

Tensor text_tensor(std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  BufferRef buffer = make_heap_buffer(sizeof size + text.size());
  std::memcpy(buffer->data(), &size, sizeof size);
  std::memcpy(buffer->data() + sizeof size, text.data(), text.size());
  return {DataType::kBytes, Shape{1}, buffer->data(), buffer->size_bytes(), buffer};
}

// Writes the letters of its input, one in a response; "!" fails.
class Writer final : public Backend {
 public:
  explicit Writer(Gate& gate) : gate_(gate) {}
  void execute(Execution& execution) override {
    for (std::size_t k = 0; k < execution.num_requests(); ++k) {
      const Tensor input = execution.request(k).inputs[0];
      const std::string text(reinterpret_cast<const char*>(input.data) + 4, input.size_bytes - 4);
      const auto sender = execution.keep(k);
      for (const char letter : text) {
        Response response;
        if (letter == '!') {
          response.status = {Code::kUnavailable, "out of ink"};
        } else {
          response.outputs.push_back({0, text_tensor(std::string(1, letter))});
        }
        const bool failed = !response.status.ok();
        static_cast<void>(sender->send(std::move(response), failed));
        if (failed) break;
        gate_.pass();
        if (sender->cancelled()) ++num_cancelled;
      }
      static_cast<void>(sender->finish());
    }
  }
  inline static std::atomic<int> num_cancelled{0};

 private:
  Gate& gate_;
};

struct WriterHouse : SessionHouse {
  explicit WriterHouse(std::string reply)
      : control(bridge, [reply = std::move(reply)](const ControlFake::Seen&) { return reply; }) {
    ModelSpec spec;
    spec.name = "writer";
    spec.decoupled = true;
    spec.max_queue_size = 64;
    spec.inputs.push_back({"text_input", DataType::kBytes, Shape{1}, {}, false, {}});
    spec.outputs.push_back({"text_output", DataType::kBytes, Shape{1}, {}, false, {}});
    model = echo.engine.start(spec, [this](const InstanceSpec&) { return std::make_unique<Writer>(gate); },
                              {{"writer_0", {}}});
    echo.engine.publish("writer", {model});
  }
  ~WriterHouse() { gate.open(); }

  Gate gate;
  std::shared_ptr<Model> model;
  ControlFake control;
};

std::string handed_over(const std::string& request, std::string_view frame = kFrame) {
  return control_answer(200, std::string(frame) + request,
                        "Naiad-Text-Frame: " + std::to_string(frame.size()) + "\r\n");
}

std::string ask_for_text() {
  return http_request("POST", "/v1/completions", "{}");
}

}  // namespace

TEST_CASE("handed over: the core asks the model and sends the events, and the connection goes on") {
  WriterHouse house(handed_over(R"({"text_input":"ab"})"));
  for (const std::size_t at_once : {std::size_t{1}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    for (int k = 0; k < 3; ++k) {
      const HttpAnswer answer = client.ask(ask_for_text());
      CHECK(answer.status == 200);
      CHECK(answer.fields.at("content-type") == "text/event-stream; charset=utf-8");
      CHECK(answer.fields.count("naiad-text-frame") == 0);
      CHECK(answer.body == R"(open <"a"><"b">["stop"] done)");
    }
  }
  CHECK(house.control.num_connections() == 2);
}

TEST_CASE("handed over: what fails before the first event is an answer, and an event later") {
  WriterHouse house(handed_over(R"({"text_input":"!"})"));
  HttpClient client = house.connect();
  const HttpAnswer answer = client.ask(ask_for_text());
  CHECK(answer.status == 503);
  CHECK(answer.body.find("out of ink") != std::string::npos);

  WriterHouse later(handed_over(R"({"text_input":"a!"})"));
  HttpClient other = later.connect();
  const HttpAnswer broken = other.ask(ask_for_text());
  CHECK(broken.status == 200);
  CHECK(broken.body.starts_with(R"(open <"a">data: {"error":{"message":"out of ink")"));
  CHECK(broken.body.ends_with("\n\n done"));
}

TEST_CASE("handed over: what the model does not take is refused") {
  const std::pair<std::string, int> rows[] = {
      {handed_over(R"({"text_input":["a","b"]})"), 400},
      {handed_over("{"), 400},
      {handed_over("{}", R"({"model":"nobody"})"), 404},
      {handed_over("{}", "nonsense"), 500},
      {control_answer(200, "{}", "Naiad-Text-Frame: 3\r\n"), 502},
      {control_answer(200, "{}", "Naiad-Text-Frame: x\r\n"), 502},
      {"HTTP/1.1 200 OK\r\nNaiad-Text-Frame: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502},
      {"!HTTP/1.1 200 OK\r\nNaiad-Text-Frame: 1\r\nContent-Length: 9\r\n\r\n{", 502},
  };
  for (const auto& row : rows) {
    WriterHouse house(row.first);
    HttpClient client = house.connect();
    CHECK_MESSAGE(client.ask(ask_for_text()).status == row.second, row.first);
  }
}

TEST_CASE("handed over: a client that goes takes its request back") {
  Writer::num_cancelled = 0;
  WriterHouse house(handed_over(R"({"text_input":"abcdef"})"));
  house.gate.shut();
  {
    HttpClient client = house.connect();
    client.send(ask_for_text());
    house.gate.wait_for_arrivals(1);
  }
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
  house.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(Writer::num_cancelled > 0);
}

TEST_CASE("handed over: a client of HTTP/1.0 gets the events without chunks") {
  WriterHouse house(handed_over(R"({"text_input":"ab"})"));
  HttpClient client = house.connect();
  client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}");
  const std::string all = client.rest();
  CHECK(all.find("Transfer-Encoding") == std::string::npos);
  CHECK(all.ends_with("\r\n\r\nopen <\"a\"><\"b\">[\"stop\"] done"));
}
