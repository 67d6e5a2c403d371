#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace naiad {

// The failure classes of the server, one per leaf of the tree in python/naiad/errors.py. HTTP and gRPC
// statuses are chosen by the edges, never here.
enum class Code : unsigned char {
  kOk,
  kInvalidArgument,
  kNotFound,
  kAlreadyExists,
  kUnavailable,
  kDeadlineExceeded,
  kUnsupported,
  kCancelled,
  kInternal,
  kUnknown,
};

// The code's name as the Python tree knows it, e.g. "INVALID_ARGUMENT". Any thread.
std::string_view code_name(Code code);

// An outcome as a value: on the request path a failure travels in the Response and is never thrown.
// Ok carries no message and never allocates.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// Thrown on the load and configuration path only.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  explicit Error(const Status& status) : Error(status.code(), status.message()) {}

  Code code() const { return code_; }
  Status status() const { return {code_, what()}; }

 private:
  Code code_;
};

}  // namespace naiad
