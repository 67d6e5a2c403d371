#include "io/http_session.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <thread>
#include <vector>

#include "fakes/comes_true.h"
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

std::string infer_in_chunks(std::string_view body, std::size_t size) {
  return http_request("POST", kInfer, {}, "Transfer-Encoding: chunked\r\n") + chunked(body, size);
}

std::string error(const std::string& message) {
  return R"({"error":")" + message + "\"}";
}

// With window bits 31 gzip, 15 deflate.
std::string packed(std::string_view plain, int window_bits) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 1, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(plain.size() + 1024, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string unpacked(std::string_view data, int window_bits) {
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, window_bits) == Z_OK);
  std::string out(std::size_t{1} << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

void check_usable(HttpClient& client) {
  const HttpAnswer answer = client.ask(infer());
  CHECK(answer.status == 200);
  CHECK(answer.body == kAnswer);
}

}  // namespace

TEST_CASE("JSON and binary, of known length and in chunks, a byte at a time and all at once") {
  SessionHouse house;
  for (const std::size_t at_once : {std::size_t{1}, std::size_t{7}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    for (const std::string& request :
         {infer(), infer_in_chunks(infer_json(), 9), infer_in_chunks(infer_json(), 1000), "\r\n" + infer()}) {
      const HttpAnswer answer = client.ask(request);
      CHECK(answer.status == 200);
      CHECK(answer.head.starts_with("HTTP/1.1 200 OK"));
      CHECK(answer.body == kAnswer);
      CHECK(answer.fields.count("connection") == 0);
    }
    const std::vector<float> values{1, 2, 3};
    const BinaryInfer binary = infer_binary(values);
    const HttpAnswer answer = client.ask(infer(binary.body, binary.field()));
    CHECK(answer.status == 200);
    CHECK(answer.fields.at("content-type") == "application/octet-stream");
    const std::size_t json_size = std::stoul(answer.fields.at("inference-header-content-length"));
    CHECK(answer.body.substr(json_size) == bytes_of(values));
  }
}

TEST_CASE("bodies of all sizes: in place, received straight into a block, gathered from chunks") {
  SessionHouse house;
  for (const std::size_t at_once : {std::size_t{4096}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    for (const std::size_t count : {1000U, 4000U, 5000U, 20'000U, 500'000U}) {
      std::vector<float> values(count);
      for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
      const BinaryInfer binary = infer_binary(values);
      const std::string head =
          http_request("POST", kInfer, {}, binary.field() + "Transfer-Encoding: chunked\r\n");
      for (const std::string& request :
           {infer(binary.body, binary.field()), head + chunked(binary.body, 3001)}) {
        std::thread sender([&] { client.send(request); });
        const HttpAnswer answer = client.answer();
        sender.join();
        CHECK(answer.status == 200);
        CHECK(answer.body.ends_with(bytes_of(values)));
      }
    }
  }
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
  CHECK(comes_true([&] { return house.echo.engine.pool().usage().used_bytes == 0; }));
}

TEST_CASE("pipelined requests are answered in order, whatever their framing") {
  SessionHouse house;
  for (const std::size_t at_once : {std::size_t{3}, SessionHouse::kWide}) {
    HttpClient client = house.connect(at_once);
    std::string all;
    for (int i = 0; i < 40; ++i) {
      const std::string body = infer_json(std::to_string(i) + ".0", 1);
      all += i % 3 == 0 ? infer_in_chunks(body, 11) : i % 3 == 1 ? infer(body) : infer("{");
    }
    std::thread sender([&] { client.send(all); });
    for (int i = 0; i < 40; ++i) {
      const HttpAnswer answer = client.answer();
      CHECK(answer.status == (i % 3 == 2 ? 400 : 200));
      if (i % 3 != 2) CHECK(answer.body.find("[" + std::to_string(i) + ".0]") != std::string::npos);
    }
    sender.join();
  }
}

TEST_CASE("what waits behind a request is bounded, and answered in the end") {
  SessionHouse house;
  house.echo.gate.shut();
  HttpClient client = house.connect();
  std::string all;
  const std::string one = infer(infer_json() + std::string(2000, ' '));
  for (int i = 0; i < 300; ++i) all += one;
  std::thread sender([&] { client.send(all); });
  house.echo.gate.wait_for_arrivals(1);
  house.echo.gate.open();
  for (int i = 0; i < 300; ++i) CHECK(client.answer().status == 200);
  sender.join();
}

TEST_CASE("keep-alive and close, HTTP/1.1 and 1.0") {
  SessionHouse house;
  HttpClient closing = house.connect();
  const HttpAnswer last = closing.ask(infer(infer_json(), "Connection: close\r\n"));
  CHECK(last.status == 200);
  CHECK(last.fields.at("connection") == "close");
  CHECK(closing.at_end());

  const std::string old =
      "POST /v2/models/m/infer HTTP/1.0\r\nContent-Length: " + std::to_string(infer_json().size()) + "\r\n";
  HttpClient once = house.connect();
  CHECK(once.ask(old + "\r\n" + infer_json()).status == 200);
  CHECK(once.at_end());
  HttpClient kept = house.connect();
  const HttpAnswer answer = kept.ask(old + "Connection: keep-alive\r\n\r\n" + infer_json());
  CHECK(answer.status == 200);
  CHECK(answer.fields.at("connection") == "keep-alive");
  CHECK(kept.ask(old + "\r\n" + infer_json()).status == 200);
  CHECK(kept.at_end());
}

TEST_CASE("100 Continue is said before the body is sent, not before a refusal") {
  SessionHouse house;
  HttpClient client = house.connect();
  const std::string head =
      http_request("POST", kInfer, {},
                   "Expect: 100-continue\r\nContent-Length: " + std::to_string(infer_json().size()) + "\r\n");
  CHECK(client.ask(head).status == 100);
  CHECK(client.ask(infer_json()).body == kAnswer);
  // The body that came along needs no word.
  CHECK(client.ask(head + infer_json()).body == kAnswer);
  CHECK(client.ask(http_request("POST", kInfer, {}, "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"))
            .status == 100);
  CHECK(client.ask(chunked(infer_json(), 20)).body == kAnswer);
  // Whether the body follows a refusal is not known.
  const HttpAnswer answer = client.ask(http_request(
      "POST", kInfer, {}, "Expect: 100-continue\r\nContent-Encoding: br\r\nContent-Length: 9\r\n"));
  CHECK(answer.status == 501);
  CHECK(answer.fields.at("connection") == "close");
  CHECK(client.at_end());
}

TEST_CASE("content codings both ways") {
  SessionHouse house;
  HttpClient client = house.connect();
  std::vector<float> values(20'000, 7.0F);
  const BinaryInfer binary = infer_binary(values);
  for (const auto& [name, bits] : {std::pair("gzip", 31), std::pair("deflate", 15)}) {
    const std::string fields =
        std::string("Content-Encoding: ") + name + "\r\nAccept-Encoding: " + name + "\r\n";
    const HttpAnswer answer = client.ask(infer(packed(binary.body, bits), fields + binary.field()));
    CHECK(answer.status == 200);
    CHECK(answer.fields.at("content-encoding") == name);
    CHECK(unpacked(answer.body, bits).ends_with(bytes_of(values)));
    CHECK(unpacked(client.ask(infer(packed(infer_json(), bits), fields)).body, bits) == kAnswer);
    CHECK(client.ask(infer("no such data", fields)).body ==
          error(std::string("request body is not valid ") + name + " data"));
  }
  const HttpAnswer answer = client.ask(infer("{}", "Content-Encoding: br\r\n"));
  CHECK(answer.status == 501);
  CHECK(answer.body == error("Unsupported compression type"));
  CHECK(answer.fields.at("accept-encoding") == "gzip, deflate");
  const std::string twice = "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n";
  CHECK(client.ask(infer(packed(infer_json(), 31), twice)).status == 501);
  check_usable(client);
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
}

TEST_CASE("a body that inflates beyond the bound is refused") {
  DataPlaneOptions options;
  options.max_message_bytes = 4096;
  SessionHouse house(options);
  HttpClient client = house.connect();
  const HttpAnswer answer =
      client.ask(infer(packed(std::string(5000, ' '), 31), "Content-Encoding: gzip\r\n"));
  CHECK(answer.status == 400);
  CHECK(answer.body == error("inflated request body exceeds the maximum allowed input size of 4096 bytes."
                             " Use --http-max-input-size to increase the limit."));
  check_usable(client);
}

TEST_CASE("refusals leave the connection usable") {
  SessionHouse house;
  HttpClient client = house.connect();
  struct Case {
    std::string request;
    int status;
    std::string body;
  };
  const std::vector<Case> cases = {
      {http_request("POST", "/v2/models/none/infer", infer_json()), 404,
       error("Request for unknown model: 'none' is not found")},
      {http_request("POST", "/v2/models/m/versions/9/infer", infer_json()), 404,
       error("Request for unknown model: 'm' version 9 is not found")},
      {infer(infer_json("-1.0", 1)), 400, error("minus one")},
      {infer(infer_json(), "Inference-Header-Content-Length: 5x\r\n"), 400,
       error("Inference-Header-Content-Length should be one decimal number, got '5x'")},
      {infer("{}", "Inference-Header-Content-Length: 3\r\n"), 400,
       error("inference header size should be in range (0, 2), got: 3")},
  };
  for (const Case& one : cases) {
    const HttpAnswer answer = client.ask(one.request);
    CHECK(answer.status == one.status);
    CHECK(answer.body == one.body);
    CHECK(answer.fields.at("content-type") == "application/json");
  }
  for (const std::string body : {"", "{", "[[[[", R"({"inputs":[]})"})
    CHECK(client.ask(infer(body)).status == 400);
  check_usable(client);
  CHECK(client.ask(http_request("POST", "/v2/models/%6D/versions/1/infer?x=1", infer_json())).body ==
        kAnswer);
}

TEST_CASE("the raw form: a body of bytes alone") {
  SessionHouse house;
  HttpClient client = house.connect();
  const HttpAnswer answer = client.ask(infer(bytes_of({1, 2, 3}), "Inference-Header-Content-Length: 0\r\n"));
  CHECK(answer.status == 200);
  CHECK(answer.body.ends_with(bytes_of({1, 2, 3})));
}

TEST_CASE("a body over the bound is refused before it is received, and passed over") {
  DataPlaneOptions options;
  options.max_message_bytes = 1000;
  SessionHouse house(options);
  const auto words = [](std::size_t size) {
    return error("request JSON size of " + std::to_string(size) +
                 " bytes exceeds the maximum allowed input size of 1000 bytes."
                 " Use --http-max-input-size to increase the limit.");
  };
  const std::string fits = infer_json() + std::string(1000 - infer_json().size(), ' ');
  HttpClient client = house.connect();
  CHECK(client.ask(infer(fits)).status == 200);
  const HttpAnswer answer = client.ask(infer(fits + " "));
  CHECK(answer.status == 400);
  CHECK(answer.body == words(1001));
  check_usable(client);
  CHECK(client.ask(infer_in_chunks(fits, 100)).status == 200);
  const HttpAnswer of_chunks = client.ask(infer_in_chunks(fits + " ", 100));
  CHECK(of_chunks.status == 400);
  CHECK(of_chunks.body == words(1001));
  check_usable(client);
  // Far too large: the end is not worth waiting for.
  HttpClient huge = house.connect();
  const HttpAnswer refused = huge.ask(http_request("POST", kInfer, {}, "Content-Length: 123456789012\r\n"));
  CHECK(refused.status == 400);
  CHECK(refused.body == words(123456789012));
  CHECK(refused.fields.at("connection") == "close");
  CHECK(huge.at_end());
  HttpClient endless = house.connect();
  const HttpAnswer cut = endless.ask(infer_in_chunks(std::string(2500, ' '), 100).substr(0, 2700));
  CHECK(cut.status == 400);
  CHECK(endless.at_end());
}

TEST_CASE("bodies of all connections together are bounded") {
  DataPlaneOptions options;
  options.max_in_flight_bytes = 50'000;
  SessionHouse house(options);
  HttpClient first = house.connect();
  REQUIRE(first.send(http_request("POST", kInfer, {}, "Content-Length: 40000\r\n")));
  HttpClient second = house.connect();
  REQUIRE(comes_true([&] { return house.bytes.used() != 0; }));
  const HttpAnswer answer = second.ask(infer(std::string(20'000, ' ')));
  CHECK(answer.status == 503);
  CHECK(answer.body == error("requests in flight hold too many bytes, try again later"));
  check_usable(second);
  CHECK(second.ask(infer_in_chunks(std::string(20'000, ' '), 5000)).status == 503);
  check_usable(second);
  first.hang_up();
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
  CHECK(second.ask(infer(infer_json() + std::string(20'000, ' '))).status == 200);
}

TEST_CASE("without tensor memory a large body is refused, and the connection lives") {
  SessionHouse house({}, 4 << 20);
  HttpClient client = house.connect();
  const std::string body(std::size_t{8} << 20, ' ');
  std::thread sender([&] { client.send(infer(body)); });
  const HttpAnswer answer = client.answer();
  sender.join();
  CHECK(answer.status == 503);
  CHECK(answer.body == error("tensor memory is exhausted"));
  check_usable(client);
}

TEST_CASE("what is not HTTP is answered and closed; a new connection is served") {
  SessionHouse house;
  const std::string head = "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n";
  const std::vector<std::pair<std::string, int>> cases = {
      {"\x16\x03\x01\x02\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {head + "Content-Length: -5\r\n\r\n", 400},
      {head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
      {head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {head + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {head + " folded: x\r\n\r\n", 400},
      {head + "Name : x\r\n\r\n", 400},
      {"GET /v2 HTTP/1.1\r\n\r\n", 400},
      {"GET /v2 HTTP/2.0\r\nHost: x\r\n\r\n", 505},
      {head + "A: " + std::string(100'000, 'a') + "\r\n\r\n", 431},
      {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400},
  };
  for (const auto& [bytes, status] : cases) {
    HttpClient client = house.connect();
    client.send(bytes);
    const HttpAnswer answer = client.answer();
    CHECK(answer.status == status);
    CHECK(answer.body.starts_with(R"({"error":"malformed)"));
    CHECK(answer.fields.at("connection") == "close");
    CHECK(client.at_end());
  }
  HttpClient client = house.connect();
  check_usable(client);
}

TEST_CASE("what follows a malformed body is not taken for a request") {
  SessionHouse house;
  HttpClient client = house.connect();
  client.send(http_request("POST", kInfer, {}, "Transfer-Encoding: chunked\r\n") + "zz\r\n" + infer());
  CHECK(client.answer().status == 400);
  CHECK(client.at_end());
  CHECK(house.echo.gate.num_arrived() == 0);
}

TEST_CASE("a slow reader gets all of a large answer") {
  SessionHouse house;
  HttpClient client = house.connect(10'000);
  const std::vector<float> values(300'000, 2.5F);
  const BinaryInfer binary = infer_binary(values);
  std::thread sender([&] {
    for (int i = 0; i < 3; ++i) client.send(infer(binary.body, binary.field()));
  });
  for (int i = 0; i < 3; ++i) CHECK(client.answer().body.ends_with(bytes_of(values)));
  sender.join();
}

TEST_CASE("a client that hangs up takes its request and its memory along") {
  SessionHouse house;
  house.echo.gate.shut();
  HttpClient running = house.connect();
  REQUIRE(running.send(infer()));
  house.echo.gate.wait_for_arrivals(1);
  HttpClient waiting = house.connect();
  REQUIRE(waiting.send(infer()));
  REQUIRE(comes_true([&] { return house.in_flight.size() == 2; }));
  running.hang_up();
  waiting.hang_up();
  CHECK(comes_true([&] { return house.num_sessions() == 0; }));
  house.echo.gate.open();
  CHECK(comes_true([&] { return house.in_flight.size() == 0; }));
  CHECK(comes_true([&] { return house.bytes.used() == 0; }));
  CHECK(house.echo.gate.num_arrived() == 1);
  HttpClient client = house.connect();
  check_usable(client);
}
