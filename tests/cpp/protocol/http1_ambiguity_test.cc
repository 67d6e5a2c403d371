#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>

#include "http1_corpus.h"
#include "http1_kit.h"

using namespace naiad;

namespace {

// `body` in chunks of random sizes, with extensions here and there.
std::string chunked(std::string_view body, std::mt19937& random) {
  std::string text;
  while (!body.empty()) {
    const std::size_t size = std::min<std::size_t>(body.size(), random() % 40 + 1);
    char digits[24];
    std::snprintf(digits, sizeof digits, random() % 2 == 0 ? "%zx" : "%04zX", size);
    text += digits;
    if (random() % 4 == 0) text += ";name=\"value\"";
    text += "\r\n";
    text += body.substr(0, size);
    text += "\r\n";
    body.remove_prefix(size);
  }
  return text + "0\r\n" + (random() % 2 == 0 ? "Trailer: x\r\n\r\n" : "\r\n");
}

}  // namespace

TEST_CASE("whatever a client sends means one thing") {
  const auto cases = http1_cases();
  CHECK(cases.size() >= 120);
  for (const Http1Case& one : cases) {
    CAPTURE(one.name);
    CHECK(transcript_of(one.bytes) == one.expected);
  }
}

TEST_CASE("a message means the same wherever it is split") {
  for (const Http1Case& one : http1_cases()) {
    CAPTURE(one.name);
    // Of the long ones every 97th place and the last ones.
    const std::size_t step = one.bytes.size() > 2000 ? 97 : 1;
    for (std::size_t split = 0; split <= one.bytes.size(); split += step) {
      if (transcript_of(one.bytes, split) == one.expected) continue;
      CAPTURE(split);
      CHECK(transcript_of(one.bytes, split) == one.expected);
    }
  }
}

TEST_CASE("a message means the same byte by byte") {
  for (const Http1Case& one : http1_cases()) {
    if (one.bytes.size() > 10'000) continue;
    CAPTURE(one.name);
    Http1Transcript transcript;
    for (const char byte : one.bytes) transcript.feed(std::string_view(&byte, 1));
    CHECK(transcript.text() == one.expected);
  }
}

TEST_CASE("however a body is chunked and the chunks arrive, its bytes are the same") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string body(random() % 500, '\0');
    for (char& byte : body) byte = static_cast<char>(random());
    const std::string text =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, random);
    Http1Transcript transcript;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = std::min<std::size_t>(text.size() - at, random() % 30 + 1);
      transcript.feed(std::string_view(text).substr(at, size));
      at += size;
    }
    CHECK(transcript.last_body() == body);
    CHECK(transcript.text() == "POST / '" + body + "'; ");
  }
}

TEST_CASE("limits: at the limit it passes, one more is refused") {
  Http1Limits limits;
  limits.max_chunks = 3;
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(transcript_of(head + "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", limits) == "POST / 'abc'; ");
  CHECK(transcript_of(head + "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n", limits) == "POST / 413");

  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  limits = {};
  limits.max_head_bytes = text.size();
  CHECK(transcript_of(text, limits) == "GET /; ");
  limits.max_head_bytes = text.size() - 1;
  CHECK(transcript_of(text, limits) == "431");
  limits = {};
  limits.max_fields = 2;
  CHECK(transcript_of(text, limits) == "GET /; ");
  limits.max_fields = 1;
  CHECK(transcript_of(text, limits) == "431");
  limits = {};
  limits.max_line_bytes = 14;
  CHECK(transcript_of(text, limits) == "GET /; ");
  limits.max_line_bytes = 13;
  CHECK(transcript_of(text, limits) == "431");
}

TEST_CASE("limits hold wherever the bytes are split") {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
  for (std::size_t max_head = 0; max_head <= text.size() + 1; ++max_head) {
    Http1Limits limits;
    limits.max_head_bytes = max_head;
    const std::string expected = max_head >= text.size() ? "GET /; " : "431";
    for (std::size_t split = 0; split <= text.size(); ++split) {
      CAPTURE(max_head);
      CAPTURE(split);
      CHECK(transcript_of(text, split, limits) == expected);
    }
  }
}
