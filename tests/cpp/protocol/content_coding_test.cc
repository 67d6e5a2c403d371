#include "protocol/content_coding.h"

#include <doctest/doctest.h>

#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "fakes/heap_pool.h"
#include "http1_kit.h"

using namespace naiad;

namespace {

constexpr ContentCoding kCodings[] = {ContentCoding::kGzip, ContentCoding::kDeflate};
constexpr std::size_t kMaxBytes = 64UL << 20;

std::string deflated(std::string_view text, ContentCoding coding) {
  WireMessage message;
  message.append_view(bytes_of(text));
  std::string out;
  deflate_message(message, coding, out);
  return out;
}

struct Inflated {
  Status status;
  std::string text;
  PoolUsage usage;  // while the body is held
};

Inflated inflated(std::string_view body, ContentCoding coding, std::size_t max_bytes = kMaxBytes,
                  std::size_t pool_bytes = 1UL << 30) {
  HeapPool pool(pool_bytes);
  Inflated result;
  {
    PlainBody plain;
    result.status = inflate_body(bytes_of(body), coding, pool, max_bytes, plain);
    if (result.status.ok()) {
      result.text = std::string(reinterpret_cast<const char*>(plain.block->data()), plain.size_bytes);
    }
    result.usage = pool.usage();
  }
  CHECK(pool.usage().used_bytes == 0);
  return result;
}

std::string random_text(std::size_t size, unsigned num_letters) {
  std::mt19937 random(5);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % num_letters);
  return text;
}

}  // namespace

TEST_CASE("Content-Encoding") {
  const auto read = [](std::string_view value) {
    ContentCoding coding = ContentCoding::kIdentity;
    const Status status = read_content_encoding(value, coding);
    return status.ok() ? std::string(content_coding_name(coding)) : status.message();
  };
  CHECK(read("") == "identity");
  CHECK(read("identity") == "identity");
  CHECK(read(" GZip ") == "gzip");
  CHECK(read("deflate") == "deflate");
  for (const std::string_view other :
       {"br", "zstd", "x-gzip", "gzip, gzip", "gzip, deflate", "gzip;q=1", "*"}) {
    CAPTURE(other);
    CHECK(read(other) == "Unsupported compression type");
  }
  ContentCoding coding;
  CHECK(read_content_encoding("br", coding).code() == Code::kUnsupported);
}

TEST_CASE("Accept-Encoding is weighed") {
  const std::pair<std::string_view, std::string_view> choices[] = {
      {"", "identity"},
      {"gzip", "gzip"},
      {"deflate", "deflate"},
      {"GZIP", "gzip"},
      {"identity", "identity"},
      {"*", "gzip"},
      {"gzip;q=0", "identity"},
      {"*;q=0", "identity"},
      {"gzip;q=0.2, deflate;q=0.8", "deflate"},
      {"identity;q=1, gzip;q=0.5", "identity"},
      {"identity, gzip", "gzip"},
      {"identity;q=0.5,*;q=0.5", "gzip"},
      {"br", "identity"},
      {"br, deflate", "deflate"},
      {"gzip;q=nan", "identity"},
      {"gzip;q=2", "identity"},
      {"gzip;q=-1", "identity"},
      {"gzip;q=", "identity"},
      {"gzip;x=1", "gzip"},
      {"gzip ; q = 0.5 , deflate ;q=0.6", "deflate"},
      {"gzip;q=0.5;x=1", "identity"},
      {"gzip;Q=0", "identity"},
      {"gzip, gzip;q=0", "identity"},
      {"deflate;q=1e-1", "deflate"},
      {"gzip;q=+0.5", "gzip"},
      {", ,gzip", "gzip"},
      {"gzip;q=0,*", "deflate"},
      {"deflate;q=inf", "identity"},
      {"identity;q=0", "identity"},
      {"*;q=0.3, deflate;q=0.1", "gzip"},
      {"gzip;q=1.0, deflate;q=1.0", "gzip"},
      {"deflate, gzip", "gzip"},
      {"identity;q=nan, deflate;q=0.1", "deflate"},
      {"gzip;q=0x1", "identity"},
  };
  for (const auto& row : choices) {
    const auto& [header, expected] = row;
    CAPTURE(row.first);
    CHECK(content_coding_name(choose_content_coding(header)) == expected);
  }
}

TEST_CASE("what was deflated inflates to the same") {
  for (const ContentCoding coding : kCodings) {
    for (const std::size_t size : {0UL, 1UL, 1000UL, 65'535UL, 65'536UL, 65'537UL, 3'000'000UL}) {
      for (const unsigned num_letters : {1U, 3U, 26U}) {
        const std::string text = random_text(size, num_letters);
        const Inflated result = inflated(deflated(text, coding), coding);
        CHECK(result.status.message() == "");
        CHECK((result.text == text));
      }
    }
  }
}

TEST_CASE("the pieces of a message are compressed as one") {
  WireMessage message;
  message.text() += "head ";
  const std::string tensor = "tensor";
  message.append_view(bytes_of(tensor));
  message.text() += " tail";
  message.end_text();
  std::string out = "before";
  deflate_message(message, ContentCoding::kGzip, out);
  REQUIRE(out.starts_with("before\x1F\x8B"));
  CHECK(inflated(std::string_view(out).substr(6), ContentCoding::kGzip).text == "head tensor tail");
}

TEST_CASE("gzip members follow one another, zlib data does not") {
  const std::string two = deflated("one ", ContentCoding::kGzip) + deflated("two", ContentCoding::kGzip);
  CHECK(inflated(two, ContentCoding::kGzip).text == "one two");
  CHECK(inflated(two + "x", ContentCoding::kGzip).status.message() ==
        "request body is cut off: its gzip data does not end");
  CHECK(inflated(two + "no gzip header", ContentCoding::kGzip).status.message() ==
        "request body is not valid gzip data");
  CHECK(inflated(deflated("one", ContentCoding::kDeflate) + "x", ContentCoding::kDeflate).status.message() ==
        "request body goes on after the end of its deflate data");
}

TEST_CASE("data that is cut off anywhere is refused") {
  for (const ContentCoding coding : kCodings) {
    const std::string body = deflated(random_text(300, 20), coding);
    for (std::size_t size = 0; size < body.size(); ++size) {
      const Status status = inflated(body.substr(0, size), coding).status;
      CHECK(status.code() == Code::kInvalidArgument);
      CHECK(status.message() == "request body is cut off: its " + std::string(content_coding_name(coding)) +
                                    " data does not end");
    }
  }
}

TEST_CASE("data that is not of the coding is refused") {
  CHECK(inflated("hello, world", ContentCoding::kGzip).status.message() ==
        "request body is not valid gzip data");
  CHECK(inflated(deflated("hello", ContentCoding::kDeflate), ContentCoding::kGzip).status.code() ==
        Code::kInvalidArgument);
  CHECK(inflated(deflated("hello", ContentCoding::kGzip), ContentCoding::kDeflate).status.message() ==
        "request body is not valid deflate data");
  std::string flipped = deflated(random_text(300, 20), ContentCoding::kGzip);
  flipped[flipped.size() - 6] = static_cast<char>(flipped[flipped.size() - 6] ^ 1);  // its checksum
  CHECK(inflated(flipped, ContentCoding::kGzip).status.message() == "request body is not valid gzip data");
}

TEST_CASE("the output is never larger than it may be") {
  for (const ContentCoding coding : kCodings) {
    for (const std::size_t size : {1000UL, 100'000UL}) {
      const std::string body = deflated(std::string(size, 'x'), coding);
      CHECK(inflated(body, coding, size).text.size() == size);
      const Inflated refused = inflated(body, coding, size - 1);
      CHECK(refused.status.code() == Code::kInvalidArgument);
      CHECK(refused.status.message() == "inflated request body exceeds the maximum allowed input size of " +
                                            std::to_string(size - 1) +
                                            " bytes. Use --http-max-input-size to increase the limit.");
      // Never more than the old block and the new one.
      CHECK(inflated(body, coding, size - 1, 2 * size).status.code() == Code::kInvalidArgument);
    }
  }
}

TEST_CASE("above 8 MiB the output is at most 100 times the input") {
  const std::size_t free_bytes = 8UL << 20;
  for (const ContentCoding coding : kCodings) {
    CHECK(inflated(deflated(std::string(free_bytes, 'x'), coding), coding).status.ok());
    const std::string body = deflated(std::string(free_bytes + 1, 'x'), coding);
    CHECK(inflated(body, coding).status.message() == "request body of " + std::to_string(body.size()) +
                                                         " bytes inflates to more than 100 times its size");
    CHECK(inflated(deflated(random_text(free_bytes + 1, 2), coding), coding).status.ok());
  }
}

TEST_CASE("what gzip says about its size is believed within bounds") {
  const std::string text = random_text(300'000, 20);
  const std::string body = deflated(text, ContentCoding::kGzip);
  CHECK(inflated(body, ContentCoding::kGzip).usage.used_bytes == text.size() + 1);
  // A lie is found out by zlib, and costs no more than what a small body may.
  std::string lie = deflated("small", ContentCoding::kGzip);
  std::memset(lie.data() + lie.size() - 4, 0xFF, 4);
  CHECK(inflated(lie, ContentCoding::kGzip, kMaxBytes, 64UL << 10).status.message() ==
        "request body is not valid gzip data");
}

TEST_CASE("every coding has the name that headers give it") {
  CHECK(content_coding_name(ContentCoding::kIdentity) == "identity");
  CHECK(content_coding_name(ContentCoding::kGzip) == "gzip");
  CHECK(content_coding_name(ContentCoding::kDeflate) == "deflate");
}

TEST_CASE("an exhausted pool is said") {
  const std::string body = deflated(random_text(300'000, 20), ContentCoding::kDeflate);
  const Status status = inflated(body, ContentCoding::kDeflate, kMaxBytes, 1000).status;
  CHECK(status.code() == Code::kUnavailable);
  CHECK(status.message() == "tensor memory is exhausted: no room to inflate a deflate body");
  // Zeros do not fit the block that so short a body is first given, and there is none twice as large.
  const std::string zeros = deflated(std::string(300'000, '\0'), ContentCoding::kDeflate);
  CHECK(inflated(zeros, ContentCoding::kDeflate, kMaxBytes, 100'000).status.message() == status.message());
}
