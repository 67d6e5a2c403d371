#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "control_fake.h"
#include "fakes/comes_true.h"
#include "io/http_session.h"
#include "session_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

constexpr std::string_view kInfer = "/v2/models/m/infer";
constexpr std::string_view kAnswer =
    R"({"model_name":"m","model_version":"1",)"
    R"("outputs":[{"name":"Y","datatype":"FP32","shape":[1,2],"data":[1.5,2.0]}]})";

std::string infer(std::string_view body = infer_json(), std::string_view fields = {}) {
  return http_request("POST", kInfer, body, fields);
}

std::string error(const std::string& message) {
  return R"({"error":")" + message + "\"}";
}

void check_usable(HttpClient& client) {
  const HttpAnswer answer = client.ask(infer());
  CHECK(answer.status == 200);
  CHECK(answer.body == kAnswer);
}

}  // namespace

TEST_CASE("a head, a body and a silence have their times") {
  DataPlaneOptions options;
  options.header_timeout_ns = 30'000'000;
  options.stall_timeout_ns = 60'000'000;
  options.idle_timeout_ns = 120'000'000;
  SessionHouse house(options);
  HttpClient head = house.connect();
  REQUIRE(head.send("POST /v2"));
  const HttpAnswer late_head = head.answer();
  CHECK(late_head.status == 408);
  CHECK(late_head.body == error("request head was not received in time"));
  CHECK(head.at_end());
  for (const char* fields :
       {"Content-Length: 10\r\n", "Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    HttpClient body = house.connect();
    REQUIRE(body.send(http_request("POST", kInfer, {}, fields)));
    const HttpAnswer late_body = body.answer();
    CHECK(late_body.status == 408);
    CHECK(late_body.body == error("request body was not received in time"));
    CHECK(body.at_end());
  }
  HttpClient idle = house.connect();
  CHECK(idle.ask(infer()).status == 200);
  CHECK(idle.at_end());
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("a body that crawls is not waited for, though it never stands still") {
  DataPlaneOptions options;
  options.stall_timeout_ns = 200'000'000;
  options.min_bytes_per_second = 10'000;
  SessionHouse house(options);
  HttpClient client = house.connect();
  REQUIRE(client.send(http_request("POST", kInfer, {}, "Content-Length: 100000\r\n")));
  int left = 2000;
  while (house.num_sessions() > 0 && client.send("x") && --left > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(left > 0);
  CHECK(client.answer().status == 408);
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("a model may take longer than any time of the connection") {
  DataPlaneOptions options;
  options.header_timeout_ns = options.stall_timeout_ns = options.idle_timeout_ns = 20'000'000;
  SessionHouse house(options);
  house.echo.gate.shut();
  HttpClient client = house.connect();
  REQUIRE(client.send(infer()));
  house.echo.gate.wait_for_arrivals(1);
  // Another connection's idle time passes meanwhile.
  HttpClient other = house.connect();
  CHECK(other.at_end());
  house.echo.gate.open();
  CHECK(client.answer().status == 200);
}

TEST_CASE("draining closes an idle connection soon and a busy one after its answer") {
  SessionHouse house;
  HttpClient idle = house.connect();
  check_usable(idle);
  house.echo.gate.shut();
  HttpClient busy = house.connect();
  // The second one waits behind the first.
  REQUIRE(busy.send(infer() + infer()));
  house.echo.gate.wait_for_arrivals(2);
  house.drain();
  CHECK(idle.at_end());
  house.echo.gate.open();
  const HttpAnswer answer = busy.answer();
  CHECK(answer.status == 200);
  CHECK(answer.fields.at("connection") == "close");
  CHECK(busy.at_end());
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
}

TEST_CASE("a client that asks while the drain begins is answered, and told that it was the last time") {
  DataPlaneOptions options;
  options.last_call_ns = 60'000'000'000;
  SessionHouse house(options);
  HttpClient client = house.connect();
  check_usable(client);
  house.drain();
  const HttpAnswer answer = client.ask(infer());
  CHECK(answer.status == 503);
  CHECK(answer.fields.at("connection") == "close");
  CHECK(client.at_end());
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
}

TEST_CASE("the way to Python is let go of when a client asks nothing for a while; the client stays") {
  DataPlaneOptions options;
  options.control_idle_ns = 30'000'000;
  SessionHouse house(options);
  ControlFake control(house.bridge, [](const ControlFake::Seen&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  });
  HttpClient client = house.connect();
  for (int round = 1; round <= 2; ++round) {
    CHECK(client.ask(http_request("GET", "/v2", {}, {})).body == "ok");
    CHECK(client.ask(http_request("GET", "/v2", {}, {})).body == "ok");
    CHECK(control.num_connections() == round);
    CHECK(comes_true([&] { return control.num_closed() == round; }));
    check_usable(client);
  }
}

TEST_CASE("a client that asks nothing for its whole time goes, with its way to Python") {
  DataPlaneOptions options;
  options.control_idle_ns = 20'000'000;
  options.idle_timeout_ns = 60'000'000;
  SessionHouse house(options);
  ControlFake control(house.bridge, [](const ControlFake::Seen&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  });
  HttpClient client = house.connect();
  CHECK(client.ask(http_request("GET", "/v2", {}, {})).body == "ok");
  CHECK(client.at_end());
  CHECK(comes_true([&] { return control.num_closed() == 1; }));
}
