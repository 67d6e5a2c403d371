#include "io/control_proxy.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "control_fake.h"
#include "fakes/comes_true.h"
#include "session_house.h"

using namespace naiad;
using namespace naiad::test;

namespace {

// Answers what the path says.
std::string script(const ControlFake::Seen& seen) {
  const std::string target = seen.head.substr(seen.head.find(' ') + 1);
  const auto asks = [&](std::string_view path) { return target.starts_with(path); };
  if (asks("/large")) return control_answer(200, std::string(2'000'000, 'x'));
  if (asks("/chunks")) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nT: "
           "x\r\n\r\n";
  }
  if (asks("/stream")) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
           chunked(std::string(3'000'000, 'y'), 50'000);
  }
  if (asks("/until-close")) return "!HTTP/1.1 200 OK\r\n\r\n" + std::string(1'000'000, 'z');
  if (asks("/close")) return "!" + control_answer(200, "closed", "Connection: close\r\n");
  if (asks("/empty")) return "HTTP/1.1 204 No Content\r\n\r\n";
  if (asks("/unchanged")) return "HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n";
  if (asks("/early")) return "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + control_answer(200, "late");
  if (asks("/cut")) return "!HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
  if (asks("/garbage")) return "!nonsense\r\n\r\n";
  if (asks("/nothing")) return "";
  if (asks("/tired")) return seen.request == 1 ? "!" + control_answer(200, "first") : "";
  if (seen.head.starts_with("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n";
  return control_answer(200, seen.head + "|" + seen.body,
                        "Keep-Alive: 5\r\nX-Kept: yes\r\nConnection: X-Lost\r\nX-Lost: 1\r\n");
}

struct ProxyHouse : SessionHouse {
  explicit ProxyHouse(DataPlaneOptions given = {}) : SessionHouse(std::move(given)) {}
  ControlFake control{bridge, script};
};

std::string get(const std::string& path, std::string_view fields = {}) {
  return http_request("GET", path, {}, fields);
}

}  // namespace

TEST_CASE("a control request reaches the control plane re-framed, and its answer the client") {
  ProxyHouse house;
  for (const std::size_t at_once : {std::size_t{1}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    const HttpAnswer answer =
        client.ask(http_request("POST", "/v2/repository/index?x=%20", "{}",
                                "Accept: a\r\nTE: trailers\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"));
    CHECK(answer.status == 200);
    CHECK(answer.body ==
          "POST /v2/repository/index?x=%20 HTTP/1.1\r\nHost: x\r\nAccept: a\r\nContent-Length: 2|{}");
    CHECK(answer.fields.at("x-kept") == "yes");
    CHECK(answer.fields.count("x-lost") == 0);
    CHECK(answer.fields.count("keep-alive") == 0);
    CHECK(answer.fields.count("connection") == 0);
  }
}

TEST_CASE("a chunked request has a length on its other side; so has one that waits for 100 Continue") {
  ProxyHouse house;
  HttpClient client = house.connect();
  const std::string head = http_request("PUT", "/v2/x", {}, "Transfer-Encoding: chunked\r\n");
  CHECK(client.ask(head + chunked("abcdef", 4)).body ==
        "PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 6|abcdef");
  CHECK(
      client.ask(http_request("PUT", "/v2/x", {}, "Expect: 100-continue\r\nContent-Length: 3\r\n")).status ==
      100);
  CHECK(client.ask("abc").body == "PUT /v2/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3|abc");
  CHECK(client.ask("GET /v2/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").body ==
        "GET /v2/old HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0|");
}

TEST_CASE("one connection to the control plane serves a client, between its inferences, until it leaves") {
  ProxyHouse house;
  {
    HttpClient client = house.connect();
    const std::string inference = http_request("POST", "/v2/models/m/infer", infer_json());
    std::string all;
    for (int i = 0; i < 10; ++i) all += get("/v2") + inference;
    client.send(all);
    for (int i = 0; i < 10; ++i) {
      CHECK(client.answer().body.starts_with("GET /v2 "));
      CHECK(client.answer().body.starts_with(R"({"model_name":"m")"));
    }
    CHECK(house.control.num_connections() == 1);
  }
  CHECK(comes_true([&] { return house.control.num_closed() != 0; }));
  HttpClient only_inference = house.connect();
  CHECK(only_inference.ask(http_request("POST", "/v2/models/m/infer", infer_json())).status == 200);
  CHECK(house.control.num_connections() == 1);
}

TEST_CASE("other methods and other paths of a model go to the control plane") {
  ProxyHouse house;
  HttpClient client = house.connect();
  CHECK(client.ask(get("/v2/models/m/infer")).body.starts_with("GET /v2/models/m/infer "));
  CHECK(client.ask(get("/v2/models/m/generate")).body.starts_with("GET /v2/models/m/generate "));
  for (const char* path : {"/v2/models/m/generate/", "/v2/models/m/infer/", "/v2/models/m"}) {
    CHECK(client.ask(http_request("POST", path, "{}")).body.starts_with(std::string("POST ") + path));
  }
}

TEST_CASE("every framing of an answer") {
  ProxyHouse house;
  for (const std::size_t at_once : {std::size_t{1000}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    CHECK(client.ask(get("/large")).body == std::string(2'000'000, 'x'));
    const HttpAnswer chunks = client.ask(get("/chunks"));
    CHECK(chunks.fields.at("transfer-encoding") == "chunked");
    CHECK(chunks.body == "hello world");
    CHECK(client.ask(get("/stream")).body == std::string(3'000'000, 'y'));
    const HttpAnswer until_close = client.ask(get("/until-close"));
    CHECK(until_close.fields.at("transfer-encoding") == "chunked");
    CHECK(until_close.body == std::string(1'000'000, 'z'));
    CHECK(client.ask(get("/close")).body == "closed");
    const HttpAnswer empty = client.ask(get("/empty"));
    CHECK(empty.status == 204);
    CHECK(empty.fields.count("content-length") == 0);
    const HttpAnswer unchanged = client.ask(get("/unchanged"));
    CHECK(unchanged.status == 304);
    CHECK(unchanged.fields.at("etag") == "a");
    CHECK(client.ask(get("/early")).body == "late");
    client.send(http_request("HEAD", "/v2", {}));
    const HttpAnswer head = client.answer(true);
    CHECK(head.status == 200);
    CHECK(head.fields.at("content-length") == "1234");
    CHECK(client.ask(get("/v2")).status == 200);
  }
}

TEST_CASE("HTTP/1.0 is given no chunks: the end of the connection ends the answer") {
  ProxyHouse house;
  HttpClient client = house.connect();
  const HttpAnswer answer = client.ask("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(answer.fields.count("transfer-encoding") == 0);
  CHECK(answer.body == "hello world");
}

TEST_CASE("a client that closes after its answer") {
  ProxyHouse house;
  HttpClient client = house.connect();
  const HttpAnswer answer = client.ask(get("/stream", "Connection: close\r\n"));
  CHECK(answer.fields.at("connection") == "close");
  CHECK(answer.body.size() == 3'000'000);
  CHECK(client.at_end());
}

TEST_CASE("a control plane that fails is a 502; a begun answer that fails is cut off") {
  ProxyHouse house;
  HttpClient client = house.connect();
  for (const char* path : {"/nothing", "/garbage"}) {
    const HttpAnswer answer = client.ask(get(path));
    CHECK(answer.status == 502);
    CHECK(answer.body == R"({"error":"the control plane did not answer"})");
  }
  CHECK(client.ask(http_request("POST", "/v2/models/m/infer", infer_json())).status == 200);
  CHECK(client.ask(get("/v2")).status == 200);
  const HttpAnswer cut = client.ask(get("/cut"));
  CHECK(cut.body == "half");
  CHECK(client.at_end());
}

TEST_CASE("a kept connection that the control plane has closed is made anew") {
  ProxyHouse house;
  HttpClient client = house.connect();
  for (int i = 1; i <= 3; ++i) {
    CHECK(client.ask(get("/tired")).body == "first");
    CHECK(house.control.num_connections() == i);
  }
}

TEST_CASE("a request to a connection that closes at that moment is asked again only when that does no harm") {
  ProxyHouse house;
  HttpClient client = house.connect();
  CHECK(client.ask(get("/v2")).status == 200);
  // The second request of the connection finds it closing: a POST may have been carried out.
  CHECK(client.ask(http_request("POST", "/nothing", "{}")).status == 502);
  CHECK(house.control.num_connections() == 1);
  CHECK(client.ask(get("/v2")).status == 200);
  CHECK(client.ask(get("/nothing")).status == 502);
  CHECK(house.control.num_connections() == 3);
}

TEST_CASE("a client that leaves in the middle of an answer leaves nothing behind") {
  ProxyHouse house;
  {
    HttpClient client = house.connect();
    REQUIRE(client.send(get("/stream")));
    CHECK(client.fd() >= 0);
    REQUIRE(comes_true([&] { return !house.control.seen().empty(); }));
  }
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
  CHECK(comes_true([&] { return house.echo.engine.pool().usage().used_bytes == 0; }));
  HttpClient client = house.connect();
  CHECK(client.ask(get("/v2")).status == 200);
}

TEST_CASE("a request for the control plane is bounded like any other") {
  DataPlaneOptions options;
  options.max_message_bytes = 100;
  ProxyHouse house(options);
  HttpClient client = house.connect();
  CHECK(client.ask(http_request("POST", "/v2/x", std::string(101, 'x'))).status == 400);
  CHECK(client.ask(http_request("POST", "/v2/x", std::string(100, 'x'))).status == 200);
  CHECK(house.control.seen().size() == 1);
}

TEST_CASE("without a control plane its requests wait, and end with their clients") {
  SessionHouse house;
  {
    HttpClient client = house.connect();
    REQUIRE(client.send(get("/v2")));
    HttpClient other = house.connect();
    CHECK(other.ask(http_request("POST", "/v2/models/m/infer", infer_json())).status == 200);
  }
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
  std::vector<BridgeItem> items;
  house.bridge.drain(items);
  REQUIRE(items.size() == 1);
  close(std::get<ControlConnection>(items.front()).fd);
}
