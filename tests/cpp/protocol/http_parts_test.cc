#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "protocol/header_number.h"
#include "protocol/http_status.h"
#include "protocol/utf8.h"
#include "protocol/v2_route.h"

using namespace naiad;
using namespace std::string_view_literals;

namespace {

// "INFER m 1", "CONTROL".
std::string route_text(std::string_view target) {
  const V2Route route = find_v2_route(target);
  const char* const names[] = {"CONTROL", "INFER", "GENERATE", "STREAM"};
  std::string text = names[static_cast<std::size_t>(route.endpoint)];
  if (!route.model.empty()) text += " " + percent_decoded(route.model);
  if (!route.version.empty()) text += " " + std::string(route.version);
  return text;
}

Status read_length(const std::vector<std::string_view>& values, std::size_t body_size_bytes,
                   std::optional<std::size_t>& length) {
  Http1Head head;
  head.fields.push_back({"Host", "a"});
  for (const std::string_view value : values)
    head.fields.push_back({"inference-header-content-LENGTH", value});
  return read_inference_header_length(head, body_size_bytes, length);
}

}  // namespace

TEST_CASE("which paths are inference") {
  const std::pair<std::string_view, std::string_view> routes[] = {
      {"/v2/models/m/infer", "INFER m"},
      {"/v2/models/m/infer?a=/b", "INFER m"},
      {"/v2/models/m/versions/1/infer", "INFER m 1"},
      {"/v2/models/m/versions/0001/infer", "INFER m 0001"},
      {"/v2/models/m/generate", "GENERATE m"},
      {"/v2/models/m/versions/12/generate_stream", "STREAM m 12"},
      {"/v2/models/versions/versions/1/infer", "INFER versions 1"},
      {"/v2/models/infer/infer", "INFER infer"},
      {"/v2/models/../infer", "INFER .."},
      {"/v2/models/a%2Fb/infer", "INFER a/b"},
      {"/v2/models/a%20b/infer", "INFER a b"},
      {"/v2/models/m%/infer", "INFER m%"},
      {"/v2/models/m%4g/infer", "INFER m%4g"},
      {"/v2/models/m%+1%zz%4/infer", "INFER m%+1%zz%4"},
      {"/v2/models/%C3%A4%ff/infer", "INFER \u00E4\uFFFD"},
      {"/v2/models/%E2%82x%F0%9F%98/infer", "INFER \uFFFDx\uFFFD"},
      {"/v2/models/%ED%A0%80/infer", "INFER \uFFFD\uFFFD\uFFFD"},
      {"/v2/models/m", "CONTROL"},
      {"/v2/models/m/", "CONTROL"},
      {"/v2/models/m/ready", "CONTROL"},
      {"/v2/models//infer", "CONTROL"},
      {"/v2/models/m/infer/", "CONTROL"},
      {"/v2/models/m/infers", "CONTROL"},
      {"/v2/models/m/INFER", "CONTROL"},
      {"/v2/models/m/versions/1", "CONTROL"},
      {"/v2/models/m/versions/infer", "CONTROL"},
      {"/v2/models/m/versions/canary/infer", "INFER m canary"},
      {"/v2/models/m/versions/v1.2-b_c/generate", "GENERATE m v1.2-b_c"},
      {"/v2/models/m/versions/1a/infer", "CONTROL"},
      {"/v2/models/m/versions/-1/infer", "CONTROL"},
      {"/v2/models/m/versions/_a/infer", "CONTROL"},
      {"/v2/models/m/versions/a%41/infer", "CONTROL"},
      {"/v2/models/m/versions/a{/infer", "CONTROL"},
      {"/v2/models/m/versions/{/infer", "CONTROL"},
      {"/v2/models/m/versions/a@/infer", "CONTROL"},
      {"/v2/models/m/versions//infer", "CONTROL"},
      {"/v2/models/m/versions/%31/infer", "CONTROL"},
      {"/v2/models/versions/1/infer", "CONTROL"},
      {"/v2/models/m/versions/1/versions/2/infer", "CONTROL"},
      {"/v2/models/a?b/infer", "CONTROL"},
      {"/v2/models/infer", "CONTROL"},
      {"/v2//models/m/infer", "CONTROL"},
      {"/V2/models/m/infer", "CONTROL"},
      {"x/v2/models/m/infer", "CONTROL"},
      {"*", "CONTROL"},
      {"/", "CONTROL"},
      {"", "CONTROL"},
  };
  for (const auto& row : routes) {
    const auto& [target, expected] = row;
    CAPTURE(row.first);
    CHECK(route_text(target) == expected);
  }
}

TEST_CASE("every failure has the status that Triton's clients know") {
  const std::pair<Code, int> statuses[] = {
      {Code::kOk, 200},          {Code::kInvalidArgument, 400},
      {Code::kNotFound, 404},    {Code::kAlreadyExists, 400},
      {Code::kUnavailable, 503}, {Code::kDeadlineExceeded, 504},
      {Code::kUnsupported, 501}, {Code::kCancelled, 400},
      {Code::kInternal, 500},    {Code::kUnknown, 400},
  };
  for (const auto& [code, status] : statuses) CHECK(http_status_of(code) == status);
}

TEST_CASE("an error body is JSON whatever the message holds") {
  const auto body = [](std::string_view message) {
    std::string text;
    append_error_body(text, message);
    return text;
  };
  CHECK(body("no such model 'm'") == R"({"error":"no such model 'm'"})");
  CHECK(body("a\"b\\c\n") == R"({"error":"a\"b\\c\n"})");
  CHECK(body("\xC3\xA4\xFF!\xE2\x82") == "{\"error\":\"\u00E4\uFFFD!\uFFFD\"}");
  CHECK(body("") == R"({"error":""})");
}

TEST_CASE("OpenAI's clients read errors in their own form") {
  const auto body = [](int status, std::string_view message) {
    std::string text;
    append_openai_error_body(text, status, message);
    return text;
  };
  CHECK(body(401, "no \"key\"\xFF") ==
        "{\"error\":{\"message\":\"no \\\"key\\\"\uFFFD\",\"type\":\"invalid_request_error\","
        "\"param\":null,\"code\":\"invalid_api_key\"}}");
  const std::tuple<int, std::string_view, std::string_view> rows[] = {
      {400, "invalid_request_error", "null"},
      {403, "request_forbidden", "null"},
      {408, "timeout_error", "null"},
      {413, "invalid_request_error", "null"},
      {429, "rate_limit_error", "\"rate_limit_exceeded\""},
      {500, "server_error", "\"internal\""},
      {501, "invalid_request_error", "\"unsupported\""},
      {502, "server_error", "null"},
      {503, "service_unavailable_error", "\"unavailable\""},
      {504, "timeout_error", "\"deadline_exceeded\""},
  };
  for (const auto& [status, type, code] : rows) {
    const std::string text = body(status, "m");
    CHECK(text == "{\"error\":{\"message\":\"m\",\"type\":\"" + std::string(type) +
                      "\",\"param\":null,\"code\":" + std::string(code) + "}}");
  }
}

TEST_CASE("broken UTF-8 is repaired as Python does it") {
  CHECK(repaired_utf8("plain \u00E4\u20AC\U0001F600") == "plain \u00E4\u20AC\U0001F600");
  CHECK(repaired_utf8("\xC0\x80") == "\uFFFD\uFFFD");
  CHECK(repaired_utf8("\xE0\x80\x80") == "\uFFFD\uFFFD\uFFFD");
  CHECK(repaired_utf8("\xF4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");
  CHECK(repaired_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");
  CHECK(repaired_utf8("\xED\x9F") == "\uFFFD");
  CHECK(repaired_utf8("\xF0\x80\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");
  CHECK(repaired_utf8("\xF4\x8F\xBF") == "\uFFFD");
  CHECK(repaired_utf8("\xF1\x80(\xBF") == "\uFFFD(\uFFFD");
  CHECK(repaired_utf8("\xE1\x80(") == "\uFFFD(");
  CHECK(repaired_utf8("\xF0\x9F\x98") == "\uFFFD");
  CHECK(repaired_utf8("\xF0\x9F") == "\uFFFD");
  CHECK(repaired_utf8("\xF0"
                      "a") ==
        "\uFFFD"
        "a");
  CHECK(repaired_utf8("\xC3") == "\uFFFD");
}

TEST_CASE("Inference-Header-Content-Length is plain digits up to the size of the body") {
  std::optional<std::size_t> length = 5;
  CHECK(read_length({}, 10, length).ok());
  CHECK_FALSE(length);
  CHECK(read_length({"10"}, 10, length).ok());
  CHECK(length == 10);
  CHECK(read_length({"0"}, 0, length).ok());
  CHECK(length == 0);
  CHECK(read_length({"000000000000000007"}, 10, length).ok());
  CHECK(length == 7);

  const std::string_view bad[] = {"",
                                  "-1",
                                  "+1",
                                  " 5",
                                  "5 ",
                                  "0x5",
                                  "5,5",
                                  "5.0",
                                  "1e3",
                                  "five",
                                  "1\t",
                                  "99999999999999999999",
                                  "0000000000000000001",
                                  "\xC3\xA4"};
  for (const std::string_view value : bad) {
    CAPTURE(value);
    const Status status = read_length({value}, 10, length);
    CHECK(status.code() == Code::kInvalidArgument);
    CHECK(status.message() ==
          "Inference-Header-Content-Length should be one decimal number, got '" + std::string(value) + "'");
    CHECK_FALSE(length);
  }
  CHECK(read_length({"11"}, 10, length).message() ==
        "inference header size should be in range (0, 10), got: 11");
  CHECK(read_length({"999999999999999999"}, 10, length).message() ==
        "inference header size should be in range (0, 10), got: 999999999999999999");
}

TEST_CASE("a refused header is shown, cut after 32 bytes") {
  std::optional<std::size_t> length;
  const std::string_view before = "Inference-Header-Content-Length should be one decimal number, got '";
  CHECK(read_length({"5", "5"}, 10, length).message() == std::string(before) + "5,5'");
  CHECK(read_length({"", ""}, 10, length).message() == std::string(before) + ",'");
  const std::string digits(10'000'000, '7');
  CHECK(read_length({digits}, 10, length).message() == std::string(before) + std::string(32, '7') + "'");
  CHECK(read_length({std::string_view(digits).substr(0, 30), "8", "9"}, 10, length).message() ==
        std::string(before) + std::string(30, '7') + ",8'");
  CHECK(read_length({"\xFF"}, 10, length).message() == std::string(before) + "\uFFFD'");
}
