#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "http1_kit.h"

using namespace naiad;

namespace {

Http1Parsed parse(std::string_view text, Http1Head& head) {
  std::size_t scanned = 0;
  return parse_http1_request(bytes_of(text), {}, head, scanned);
}

Http1Parsed parse_response(std::string_view text, Http1Head& head) {
  std::size_t scanned = 0;
  return parse_http1_response(bytes_of(text), {}, head, scanned);
}

}  // namespace

TEST_CASE("a request head is taken apart into views of what was received") {
  const std::string_view text =
      "POST /v2/models/m/infer?x=1 HTTP/1.1\r\nHost: example:8000\r\ncontent-LENGTH: \t 12 \r\n"
      "Inference-Header-Content-Length:7\r\nEmpty:\r\nAccept: a\r\nAccept: b\r\n\r\nbody";
  Http1Head head;
  std::size_t scanned = 0;
  REQUIRE(parse_http1_request(bytes_of(text), {}, head, scanned).outcome == Http1Outcome::kComplete);
  CHECK(scanned == 0);
  CHECK(head.method == "POST");
  CHECK(head.target == "/v2/models/m/infer?x=1");
  CHECK(head.method.data() == text.data());
  CHECK(head.minor_version == 1);
  CHECK(head.keep_alive);
  CHECK_FALSE(head.expect_continue);
  CHECK(head.framing == BodyFraming::kLength);
  CHECK(head.content_length == 12);
  CHECK(head.size_bytes == text.size() - 4);
  CHECK(head.fields.size() == 6);
  CHECK(head.field("inference-header-content-length") == "7");
  CHECK(head.field("EMPTY") == "");
  CHECK(head.field("accept") == "a");
  CHECK(head.count("accept") == 2);
  CHECK(head.count("Content-Length") == 1);
  CHECK_FALSE(head.field("accep"));
}

TEST_CASE("a head that is used again keeps nothing of the message before") {
  Http1Head head;
  parse("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", head);
  CHECK(head.expect_continue);
  parse("GET /b HTTP/1.0\r\n\r\n", head);
  CHECK(head.target == "/b");
  CHECK(head.fields.empty());
  CHECK(head.framing == BodyFraming::kNone);
  CHECK_FALSE(head.expect_continue);
  CHECK_FALSE(head.keep_alive);
}

TEST_CASE("what has been scanned is not looked at again") {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  std::string seen = text.substr(0, 27);
  Http1Head head;
  std::size_t scanned = 0;
  REQUIRE(parse_http1_request(bytes_of(seen), {}, head, scanned).outcome == Http1Outcome::kIncomplete);
  CHECK(scanned == 27);
  // A control character in what has been scanned goes unseen: the scan really begins behind it.
  seen[3] = '\x01';
  REQUIRE(parse_http1_request(bytes_of(seen), {}, head, scanned).outcome == Http1Outcome::kIncomplete);
  CHECK(scanned == 27);
  REQUIRE(parse_http1_request(bytes_of(text), {}, head, scanned).outcome == Http1Outcome::kComplete);
  CHECK(head.field("x") == "y");
}

TEST_CASE("a response head") {
  Http1Head head;
  REQUIRE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head).outcome ==
          Http1Outcome::kComplete);
  CHECK(head.status == 200);
  CHECK(head.framing == BodyFraming::kLength);
  CHECK(head.content_length == 5);
  CHECK(head.keep_alive);
  REQUIRE(parse_response("HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n", head).outcome ==
          Http1Outcome::kComplete);
  CHECK(head.status == 404);
  CHECK(head.framing == BodyFraming::kChunked);
  REQUIRE(parse_response("HTTP/1.0 200 Fine thing\r\n\r\n", head).outcome == Http1Outcome::kComplete);
  CHECK(head.framing == BodyFraming::kUntilClose);
  CHECK_FALSE(head.keep_alive);
  for (const std::string status : {"100", "204", "304"}) {
    CAPTURE(status);
    REQUIRE(parse_response("HTTP/1.1 " + status + " x\r\nContent-Length: 9\r\n\r\n", head).outcome ==
            Http1Outcome::kComplete);
    CHECK(head.framing == BodyFraming::kNone);
  }
  CHECK(parse_response("HTTP/1.1 200 OK\r\nContent-", head).outcome == Http1Outcome::kIncomplete);
}

TEST_CASE("malformed response heads are refused") {
  const std::string_view heads[] = {
      "HTTP/1.1 200\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "http/1.1 200 OK\r\n\r\n",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 099 Low\r\n\r\n",
      "HTTP/1.1 200 OK\n\n",
      "\r\nHTTP/1.1 200 OK\r\n\r\n",
      "HTTP/1.1 2x0 OK\r\n\r\n",
      "HTTP/1.1 -20 OK\r\n\r\n",
      "HTTP/1.1 200 O\rK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
  };
  for (const std::string_view text : heads) {
    CAPTURE(text);
    Http1Head head;
    CHECK(parse_response(text, head).outcome == Http1Outcome::kMalformed);
  }
  Http1Head head;
  CHECK(parse_response("HTTP/1.2 200 OK\r\n\r\n", head).outcome == Http1Outcome::kNotSupported);
}

TEST_CASE("response heads are written as they are read") {
  const Http1Field fields[] = {{"Content-Type", "application/json"}, {"X", "a\r\nInjected: b"}};
  std::string text = "before";
  write_http1_response_head(text, 200, fields, 17, true, 1);
  CHECK(text ==
        "beforeHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX: a  Injected: b\r\nContent-Length: "
        "17\r\n\r\n");
  Http1Head head;
  REQUIRE(parse_response(std::string_view(text).substr(6), head).outcome == Http1Outcome::kComplete);
  CHECK(head.content_length == 17);
  CHECK(head.fields.size() == 3);

  const auto written = [](int status, std::optional<std::size_t> length, bool keep_alive, int minor) {
    std::string out;
    write_http1_response_head(out, status, {}, length, keep_alive, minor);
    return out;
  };
  CHECK(written(503, 0, false, 1) ==
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  CHECK(written(100, std::nullopt, true, 1) == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(written(200, 1, true, 0) == "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
  CHECK(written(200, 1, false, 0) == "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n");
  CHECK(written(299, 1, true, 1) == "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\n");
}

TEST_CASE("statuses have the phrases of their registry") {
  const std::pair<int, std::string_view> reasons[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {411, "Length Required"},
      {413, "Content Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {417, "Expectation Failed"},
      {421, "Misdirected Request"},
      {422, "Unprocessable Content"},
      {426, "Upgrade Required"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {499, "Client Closed Request"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {505, "HTTP Version Not Supported"},
  };
  for (const auto& [status, reason] : reasons) CHECK(http_reason(status) == reason);
}

TEST_CASE("control characters in a field's value are written as spaces, tabs as they are") {
  const Http1Field fields[] = {{"X",
                                "a\tb\x7F"
                                "c\x01"
                                "d\xE9"}};
  std::string text;
  write_http1_response_head(text, 204, fields, std::nullopt, true, 1);
  CHECK(text == "HTTP/1.1 204 No Content\r\nX: a\tb c d\xE9\r\n\r\n");
}

TEST_CASE("every refusal has a status with a reason phrase and words") {
  const std::string_view texts[] = {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/3.0\r\n\r\n",
                                    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"};
  for (const std::string_view text : texts) {
    Http1Head head;
    const Http1Parsed parsed = parse(text, head);
    CHECK_FALSE(parsed.reason.empty());
    CHECK_FALSE(http_reason(parsed.status).empty());
  }
}

TEST_CASE("a chunk is given as it lies in the input, one a step") {
  ChunkedReader reader{Http1Limits{}};
  const std::string text = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\nnext";
  std::string_view rest = text;
  ChunkedReader::Step step = reader.step(bytes_of(rest));
  CHECK(step.data.data() == bytes_of(text).data() + 3);
  CHECK(step.data.size() == 3);
  CHECK(step.consumed_bytes == 6);
  rest.remove_prefix(6);
  step = reader.step(bytes_of(rest));
  CHECK(step.data.size() == 2);
  rest.remove_prefix(step.consumed_bytes);
  step = reader.step(bytes_of(rest));
  CHECK(step.outcome == Http1Outcome::kComplete);
  CHECK(rest.substr(step.consumed_bytes) == "next");
  CHECK(reader.step(bytes_of("more")).consumed_bytes == 0);
}
