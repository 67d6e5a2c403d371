#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/allowance.h"
#include "io/data_plane.h"
#include "io/h2_stream.h"
#include "protocol/grpc_wire.h"

struct nghttp2_session;

namespace naiad {

// The server's side of an HTTP/2 connection that carries gRPC, over nghttp2: bytes in, streams, bytes out; no
// socket. Bodies of answers are not copied: frames name them. I/O thread.
class H2Connection {
 public:
  // A message up to this size is copied into its frames and needs no owner: cheaper than pieces of its own in
  // a gather list, and its tensors are free at once.
  static constexpr std::size_t kCopyBytes = 4096;

  // What a header field costs beyond its characters (RFC 9113, section 6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE).
  static constexpr std::size_t kFieldBytes = 32;

  class User {
   public:
    virtual ~User() = default;
    // The head of a new request begins; its fields follow, pseudo fields first.
    virtual void on_head() = 0;
    virtual void on_field(std::string_view name, std::string_view value) = 0;
    // The head is complete. Never null.
    virtual std::unique_ptr<H2Stream> on_request() = 0;
    // There is something for take_output(); said once until it was called.
    virtual void on_output() = 0;
    // A ping of ours has come back.
    virtual void on_pong() = 0;
  };

  // The user outlives it.
  H2Connection(User& user, const Http2Limits& limits);
  // Streams end without on_closed().
  ~H2Connection();
  H2Connection(const H2Connection&) = delete;
  H2Connection& operator=(const H2Connection&) = delete;

  // Takes bytes of the client. False when it is no HTTP/2, or was misused: to be closed at once.
  bool receive(std::span<const std::byte> bytes, std::uint64_t now_ns);
  // Appends frames to `outgoing`, which has no owner yet, until it holds `limit_bytes`, or there are no more.
  // False on failure.
  bool take_output(Outgoing& outgoing, std::size_t limit_bytes, std::uint64_t now_ns);
  // Whether the client has sent its preface.
  bool greeted() const { return greeted_; }
  // True when both sides have nothing more to say.
  bool finished() const;

  // Answers of a stream. A message is sent as it is, with the prefix that it brings along.
  void respond(H2Stream& stream);
  void send(H2Stream& stream, Outgoing&& message);
  // Ends it with a status; an answer that has not begun consists of the status alone.
  void finish(H2Stream& stream, GrpcStatus status, std::string_view message);
  // The whole answer is an HTTP status that is no gRPC.
  void refuse(H2Stream& stream, std::string_view http_status);
  // Ends it at once, with an HTTP/2 error code.
  void reset(H2Stream& stream, std::uint32_t error_code);
  // Opens the window of the stream for as many bytes more.
  void consume(H2Stream& stream, std::size_t size_bytes);
  // Lets the client send `size_bytes` ahead on this stream without waiting for us.
  void expect(H2Stream& stream, std::size_t size_bytes);

  // The stream of a number, or null.
  H2Stream* find(std::int32_t id) const;
  H2Stream* first() const { return streams_; }
  static H2Stream* next(const H2Stream& stream) { return stream.next_; }
  std::size_t num_streams() const { return num_streams_; }

  void ping();
  // Asks the client to open no more streams: `last_call` refuses them too, without it those on the way still
  // come in.
  void go_away(bool last_call);
  // Ends the connection with an HTTP/2 error code once what is queued is sent.
  void terminate(std::uint32_t error_code);

 private:
  struct Callbacks;  // nghttp2's way in

  void adopt(std::int32_t id, std::unique_ptr<H2Stream> stream);
  void drop(H2Stream& stream);
  void counted(Allowance& allowance);
  void changed();
  void append_body(H2Stream& stream, std::size_t size_bytes);
  void keep(const std::shared_ptr<const Outgoing>& outgoing);

  User& user_;
  const Http2Limits limits_;
  nghttp2_session* session_ = nullptr;
  // Within take_output(): where to, how much so far, and who owns what it views.
  Outgoing* out_ = nullptr;
  std::size_t out_bytes_ = 0;
  std::size_t out_limit_bytes_ = 0;
  std::vector<std::shared_ptr<const Outgoing>>* owners_ = nullptr;
  bool paused_ = false;

  H2Stream* streams_ = nullptr;
  std::size_t num_streams_ = 0;
  Allowance resets_;
  Allowance control_frames_;
  std::uint64_t now_ns_ = 0;
  std::size_t window_bytes_;  // of the connection
  bool greeted_ = false;
  bool in_head_ = false;
  std::size_t block_bytes_ = 0;  // of the header block that is being read
  bool output_told_ = false;
  bool terminated_ = false;
};

}  // namespace naiad
