#include "protocol/grpc_wire.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/checked.h"
#include "protocol/proto_writer.h"

namespace naiad {
namespace {

// Field numbers of grpc_service.proto.
namespace field {
enum StreamResponse : std::uint32_t { kErrorMessage = 1, kInferResponse };
enum Response : std::uint32_t { kId = 3, kParameters };
enum MapEntry : std::uint32_t { kKey = 1, kValue };
enum Parameter : std::uint32_t { kBool = 1 };
}  // namespace field

constexpr std::size_t kMaxTimeoutDigits = 8;

std::uint64_t unit_ns(char unit) {
  switch (unit) {
    case 'H':
      return 3'600'000'000'000;
    case 'M':
      return 60'000'000'000;
    case 'S':
      return 1'000'000'000;
    case 'm':
      return 1'000'000;
    case 'u':
      return 1'000;
    case 'n':
      return 1;
    default:
      return 0;
  }
}

std::string final_mark(bool is_final) {
  std::string value;
  append_varint_field(value, field::kBool, is_final ? 1 : 0);
  std::string entry;
  append_string_field(entry, field::kKey, "triton_final_response");
  append_string_field(entry, field::kValue, value);
  std::string mark;
  append_string_field(mark, field::kParameters, entry);
  return mark;
}

}  // namespace

GrpcStatus grpc_status(Code code) {
  switch (code) {
    case Code::kOk:
      return GrpcStatus::kOk;
    case Code::kInvalidArgument:
      return GrpcStatus::kInvalidArgument;
    case Code::kNotFound:
      return GrpcStatus::kNotFound;
    case Code::kAlreadyExists:
      return GrpcStatus::kAlreadyExists;
    case Code::kUnavailable:
      return GrpcStatus::kUnavailable;
    case Code::kDeadlineExceeded:
      return GrpcStatus::kDeadlineExceeded;
    case Code::kUnsupported:
      return GrpcStatus::kUnimplemented;
    case Code::kCancelled:
      return GrpcStatus::kCancelled;
    case Code::kInternal:
      return GrpcStatus::kInternal;
    case Code::kUnknown:
      break;
  }
  return GrpcStatus::kUnknown;
}

std::string_view grpc_status_text(GrpcStatus status) {
  static constexpr std::array<std::string_view, 17> kTexts = {
      "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};
  return kTexts.at(static_cast<std::size_t>(status));
}

std::optional<std::uint64_t> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  const std::uint64_t unit = unit_ns(text.back());
  text.remove_suffix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (unit == 0 || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return checked_mul(value, unit).value_or(std::numeric_limits<std::uint64_t>::max());
}

std::string encode_grpc_message(std::string_view message, std::size_t limit) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(std::min(message.size(), limit));
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte <= 0x7E && byte != '%';
    if (encoded.size() + (plain ? 1 : 3) > limit) break;
    if (plain) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

void write_grpc_prefix(std::span<char, kGrpcPrefixBytes> to, bool compressed, std::size_t size_bytes) {
  to[0] = compressed ? 1 : 0;
  for (std::size_t i = 0; i < 4; ++i) to[1 + i] = static_cast<char>((size_bytes >> (24 - 8 * i)) & 0xFF);
}

bool GrpcPrefixReader::take(std::span<const std::byte>& data) {
  const std::size_t count = std::min(data.size(), kGrpcPrefixBytes - filled_);
  std::copy_n(data.begin(), count, bytes_.begin() + static_cast<std::ptrdiff_t>(filled_));
  filled_ += count;
  data = data.subspan(count);
  return filled_ == kGrpcPrefixBytes;
}

std::uint32_t GrpcPrefixReader::size_bytes() const {
  std::uint32_t size = 0;
  for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i)
    size = size << 8 | static_cast<std::uint32_t>(bytes_.at(i));
  return size;
}

void append_final_mark(WireMessage& response, bool is_final) {
  static const std::string kFinal = final_mark(true);
  static const std::string kNotFinal = final_mark(false);
  response.text() += is_final ? kFinal : kNotFinal;
  response.end_text();
}

void append_stream_head(std::string& text, std::size_t response_size_bytes) {
  append_length_field(text, field::kInferResponse, response_size_bytes);
}

void append_stream_error(std::string& text, std::string_view message, std::string_view request_id) {
  append_string_field(text, field::kErrorMessage, message);
  std::string response;
  if (!request_id.empty()) append_string_field(response, field::kId, request_id);
  append_string_field(text, field::kInferResponse, response);
}

}  // namespace naiad
