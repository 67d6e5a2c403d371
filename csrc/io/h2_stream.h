#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/stream.h"

namespace naiad {

// One request of an HTTP/2 connection and its answer. The connection owns it, calls it, and keeps its output
// in it. I/O thread.
class H2Stream {
 public:
  H2Stream() = default;
  H2Stream(const H2Stream&) = delete;
  H2Stream& operator=(const H2Stream&) = delete;
  virtual ~H2Stream() = default;

  // Its number; set before on_open().
  std::int32_t id() const { return id_; }
  // Bytes of messages that are not in frames yet.
  std::size_t unsent_bytes() const { return unsent_bytes_; }
  // When it last sent or received bytes of a message; 0 = never.
  std::uint64_t moved_ns() const { return moved_ns_; }

 protected:
  friend class H2Connection;

  // The request is the connection's now: it can be answered.
  virtual void on_open() = 0;
  // Bytes of its body. The window of the stream stays closed for them until H2Connection::consume().
  virtual void on_data(std::span<const std::byte> data) = 0;
  // The client has said all.
  virtual void on_end() = 0;
  // All messages that were queued have gone into frames.
  virtual void on_sent() = 0;
  // It has ended, by both sides or by a reset; it is destroyed after this call.
  virtual void on_closed() = 0;

 private:
  // A part of the body on its way out: its own text, or a share of something larger.
  struct Part {
    std::string text;
    std::shared_ptr<const Outgoing> outgoing;  // null: text
    std::size_t piece = 0;                     // of outgoing, and what of it has been sent
    std::size_t offset = 0;
  };

  std::int32_t id_ = 0;
  std::uint64_t moved_ns_ = 0;
  std::vector<Part> parts_;
  std::size_t first_part_ = 0;
  std::size_t unsent_bytes_ = 0;
  bool responded_ = false;
  bool deferred_ = false;  // nothing to send: to be resumed
  bool finished_ = false;
  std::string_view status_;  // grpc-status, static text
  std::string message_;      // grpc-message, encoded
  H2Stream* next_ = nullptr;
  H2Stream** place_ = nullptr;
};

}  // namespace naiad
