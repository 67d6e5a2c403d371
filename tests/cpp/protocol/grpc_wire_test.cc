#include "protocol/grpc_wire.h"

#include <doctest/doctest.h>

#include <limits>

#include "protocol/proto_kit.h"

using namespace naiad;

TEST_CASE("grpc-timeout: at most eight digits and a unit") {
  CHECK(parse_grpc_timeout("1H") == 3'600'000'000'000);
  CHECK(parse_grpc_timeout("2M") == 120'000'000'000);
  CHECK(parse_grpc_timeout("3S") == 3'000'000'000);
  CHECK(parse_grpc_timeout("4m") == 4'000'000);
  CHECK(parse_grpc_timeout("5u") == 5'000);
  CHECK(parse_grpc_timeout("99999999n") == 99'999'999);
  CHECK(parse_grpc_timeout("0n") == 0);
  CHECK(parse_grpc_timeout("99999999H") == std::numeric_limits<std::uint64_t>::max());
  for (const char* bad : {"", "1", "n", "1x", "100000000n", "-1n", "+1n", " 1n", "1 n", "1.5S", "1nn"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_grpc_timeout(bad).has_value());
  }
}

TEST_CASE("grpc-message: printable ASCII as it is, the rest in percents, and no more than the limit") {
  CHECK(encode_grpc_message("plain text, ~") == "plain text, ~");
  CHECK(encode_grpc_message("50% \n\xC3\xA4\x7F") == "50%25 %0A%C3%A4%7F");
  CHECK(encode_grpc_message("").empty());
  CHECK(encode_grpc_message("abcdef", 4) == "abcd");
  CHECK(encode_grpc_message("ab\n", 4) == "ab");
}

TEST_CASE("a prefix is read from any pieces, and reads as it was written") {
  for (const std::size_t size : {0UL, 1UL, 255UL, 65'536UL, 0xFFFF'FFFFUL}) {
    std::array<char, kGrpcPrefixBytes> bytes{};
    write_grpc_prefix(bytes, size == 255, size);
    const std::string text = std::string(bytes.data(), bytes.size()) + "rest";
    for (std::size_t cut = 0; cut <= kGrpcPrefixBytes; ++cut) {
      GrpcPrefixReader reader;
      auto head = std::as_bytes(std::span(text.data(), cut));
      auto tail = std::as_bytes(std::span(text.data() + cut, text.size() - cut));
      CHECK_FALSE(reader.begun());
      CHECK(reader.take(head) == (cut == kGrpcPrefixBytes));
      CHECK(reader.begun() == (cut > 0));
      CHECK(reader.take(tail));
      CHECK(tail.size() == 4);
      CHECK(reader.size_bytes() == size);
      CHECK(reader.flag() == (size == 255 ? 1 : 0));
    }
  }
}

TEST_CASE("statuses of the failures are those of the Python edge") {
  CHECK(grpc_status(Code::kOk) == GrpcStatus::kOk);
  CHECK(grpc_status(Code::kInvalidArgument) == GrpcStatus::kInvalidArgument);
  CHECK(grpc_status(Code::kNotFound) == GrpcStatus::kNotFound);
  CHECK(grpc_status(Code::kAlreadyExists) == GrpcStatus::kAlreadyExists);
  CHECK(grpc_status(Code::kUnavailable) == GrpcStatus::kUnavailable);
  CHECK(grpc_status(Code::kDeadlineExceeded) == GrpcStatus::kDeadlineExceeded);
  CHECK(grpc_status(Code::kUnsupported) == GrpcStatus::kUnimplemented);
  CHECK(grpc_status(Code::kCancelled) == GrpcStatus::kCancelled);
  CHECK(grpc_status(Code::kInternal) == GrpcStatus::kInternal);
  CHECK(grpc_status(Code::kUnknown) == GrpcStatus::kUnknown);
  for (unsigned number = 0; number <= 16; ++number) {
    CHECK(grpc_status_text(static_cast<GrpcStatus>(number)) == std::to_string(number));
  }
}

TEST_CASE("stream messages are wrapped as protobuf has it") {
  const std::string mark = length_field(4, map_entry("triton_final_response", varint_field(1, 1)));
  WireMessage response;
  response.text() = length_field(1, "m");
  append_final_mark(response, true);
  CHECK(response.text() == length_field(1, "m") + mark);
  CHECK(response.size_bytes() == response.text().size());
  std::string head;
  append_stream_head(head, 300);
  CHECK(head == tag(2, 2) + varint(300));
  std::string error;
  append_stream_error(error, "wrong", "7");
  CHECK(error == length_field(1, "wrong") + length_field(2, length_field(3, "7")));
  error.clear();
  append_stream_error(error, "wrong", "");
  CHECK(error == length_field(1, "wrong") + length_field(2, ""));
}
