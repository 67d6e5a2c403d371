#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "protocol/wire_message.h"

namespace naiad {

// Statuses of gRPC (github.com/grpc/grpc, doc/statuscodes.md).
enum class GrpcStatus : unsigned char {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// The status under which a failure is answered: the same as in python/naiad/grpc/errors.py. Any thread.
GrpcStatus grpc_status(Code code);

// The number as grpc-status writes it; static text. Any thread.
std::string_view grpc_status_text(GrpcStatus status);

// How long a call may take, in ns, from a grpc-timeout value (at most 8 digits and a unit; PROTOCOL-HTTP2.md,
// "Timeout"). Saturates; empty when malformed. Any thread.
std::optional<std::uint64_t> parse_grpc_timeout(std::string_view text);

// A grpc-message value: printable ASCII, the rest of its UTF-8 bytes as %XX. At most `limit` bytes of it.
// Any thread.
std::string encode_grpc_message(std::string_view message, std::size_t limit = 4096);

// Length-Prefixed-Message: one byte that says whether it is compressed, four of length, big-endian.
inline constexpr std::size_t kGrpcPrefixBytes = 5;

// Writes a prefix; size_bytes fits 32 bits. Any thread.
void write_grpc_prefix(std::span<char, kGrpcPrefixBytes> to, bool compressed, std::size_t size_bytes);

// Collects a prefix from bytes that come in any pieces.
class GrpcPrefixReader {
 public:
  // Takes what belongs to the prefix off the front of `data`; true once it is complete.
  bool take(std::span<const std::byte>& data);
  // Whether a part of a prefix, or all of it, has come.
  bool begun() const { return filled_ != 0; }
  void reset() { filled_ = 0; }

  // Of a complete prefix. The flag must be 0 or 1.
  std::uint8_t flag() const { return static_cast<std::uint8_t>(bytes_[0]); }
  std::uint32_t size_bytes() const;

 private:
  std::array<std::byte, kGrpcPrefixBytes> bytes_{};
  std::size_t filled_ = 0;
};

// ModelStreamInferResponse, written around a ModelInferResponse that is encoded already. A protobuf message
// may hold fields in any order, so it is completed by appending and wrapped by prefixing.
// Appends the parameter triton_final_response to the ModelInferResponse: whether its request will have no
// more. Any thread.
void append_final_mark(WireMessage& response, bool is_final);
// Appends to `text` what goes in front of it. Any thread.
void append_stream_head(std::string& text, std::size_t response_size_bytes);
// Appends to `text` the whole message of a request that failed. Any thread.
void append_stream_error(std::string& text, std::string_view message, std::string_view request_id);

}  // namespace naiad
