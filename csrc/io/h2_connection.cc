#include "io/h2_connection.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <new>
#include <utility>
#include <vector>

#include "io/nghttp2_values.h"

namespace naiad {

using h2::check;
using h2::field;
using h2::text_of;

namespace {

// The longest DATA frame in each direction. RFC 9113 lets it be 16 KiB unless the receiver allows more.
constexpr std::uint32_t kMaxFrameBytes = 1U << 20;
constexpr std::size_t kMaxSentFrameBytes = 128UL << 10;
// PING, SETTINGS, PRIORITY and empty DATA frames: a client has few reasons for any of them.
constexpr std::uint64_t kControlFrameBurst = 2000;
constexpr std::uint64_t kControlFramesPerSecond = 500;
constexpr std::size_t kMaxContinuations = 8;
// Header blocks up to so many times the limit are read to the end, for an answer that says what was wrong.
constexpr std::size_t kRefusedBlocks = 4;
// Stream resets that nghttp2 counts by itself; ours come first.
constexpr std::uint64_t kNoOwnLimit = 1U << 30;

struct Delete {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

}  // namespace

// No exception may pass through nghttp2: out of memory ends the process.
struct H2Connection::Callbacks {
  static H2Connection& self(void* user_data) { return *static_cast<H2Connection*>(user_data); }
  static H2Stream* stream(nghttp2_session* session, std::int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  // nghttp2 skips PRIORITY frames, which mean nothing here, without another word, and lets CONTINUATION be of
  // any length.
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user_data) noexcept {
    H2Connection& connection = self(user_data);
    if (head->type == NGHTTP2_PRIORITY) {
      connection.counted(connection.control_frames_);
      if (head->stream_id == 0) connection.terminate(NGHTTP2_PROTOCOL_ERROR);
    } else if (head->type == NGHTTP2_CONTINUATION && head->length > kMaxFrameBytes) {
      connection.terminate(NGHTTP2_FRAME_SIZE_ERROR);
    }
    return 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user_data) noexcept {
    H2Connection& connection = self(user_data);
    connection.block_bytes_ = 0;
    connection.in_head_ = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (connection.in_head_) connection.user_.on_head();
    return 0;
  }

  static int on_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user_data) noexcept {
    H2Connection& connection = self(user_data);
    connection.block_bytes_ += name_size + value_size + kFieldBytes;
    if (connection.block_bytes_ > connection.limits_.max_metadata_bytes * kRefusedBlocks) {
      // A few bytes of HPACK may stand for very many: the rest is decoded, but looked at no more.
      check(nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      NGHTTP2_ENHANCE_YOUR_CALM));
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    // Fields behind the body mean nothing in a gRPC request.
    if (connection.in_head_) connection.user_.on_field(text_of(name, name_size), text_of(value, value_size));
    return 0;
  }

  static int on_frame(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) noexcept {
    H2Connection& connection = self(user_data);
    const bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
          connection.adopt(frame->hd.stream_id, connection.user_.on_request());
        }
        break;
      case NGHTTP2_DATA:
        if (frame->hd.length == frame->data.padlen && !ended) connection.counted(connection.control_frames_);
        break;
      case NGHTTP2_RST_STREAM:
        connection.counted(connection.resets_);
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
          connection.user_.on_pong();
        } else {
          connection.counted(connection.control_frames_);
        }
        return 0;
      case NGHTTP2_SETTINGS:
        connection.greeted_ = true;
        connection.counted(connection.control_frames_);
        return 0;
      default:
        return 0;
    }
    H2Stream* const at = ended ? stream(session, frame->hd.stream_id) : nullptr;
    if (at != nullptr) at->on_end();
    return 0;
  }

  static int on_chunk(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                      std::size_t size, void* user_data) noexcept {
    H2Connection& connection = self(user_data);
    // One stream that is not read must not stop the others: only its own window closes.
    check(nghttp2_session_consume_connection(session, size));
    H2Stream* const at = stream(session, id);
    if (at == nullptr) return 0;
    at->moved_ns_ = connection.now_ns_;
    at->on_data({reinterpret_cast<const std::byte*>(data), size});
    return 0;
  }

  static int on_close(nghttp2_session* session, std::int32_t id, std::uint32_t, void* user_data) noexcept {
    H2Stream* const at = stream(session, id);
    if (at == nullptr) return 0;
    at->on_closed();
    self(user_data).drop(*at);
    return 0;
  }

  // Not: an answer that came early, a client that is slow, calls beyond a limit that it did not know of yet.
  static bool is_fault_of_client(std::uint32_t error_code) {
    return error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_CANCEL &&
           error_code != NGHTTP2_REFUSED_STREAM && error_code != NGHTTP2_INTERNAL_ERROR;
  }

  static int on_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user_data) noexcept {
    if (frame->hd.type == NGHTTP2_RST_STREAM && is_fault_of_client(frame->rst_stream.error_code)) {
      // It begins calls and gives them up as if it had reset them itself (CVE-2025-8671).
      H2Connection& connection = self(user_data);
      connection.counted(connection.resets_);
    }
    const bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (!may_end || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    // The answer is complete though the client is still sending: it may stop (RFC 9113, section 8.1).
    if (nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0) {
      check(nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR));
    }
    return 0;
  }

  // How much of the body goes into the next frame; submits the trailers behind its last byte.
  static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t*, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source* source, void*) noexcept {
    H2Stream& from = *static_cast<H2Stream*>(source->ptr);
    const std::size_t count = std::min(size, from.unsent_bytes_);
    if (count == 0 && !from.finished_) {
      from.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (from.finished_ && count == from.unsent_bytes_) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      const std::array fields = {field("grpc-status", from.status_, true),
                                 field("grpc-message", from.message_, false)};
      check(nghttp2_submit_trailer(session, id, fields.data(), from.message_.empty() ? 1 : 2));
    }
    return static_cast<ssize_t>(count);
  }

  static ssize_t frame_bytes(nghttp2_session*, std::uint8_t, std::int32_t, std::int32_t connection_window,
                             std::int32_t stream_window, std::uint32_t max_frame_bytes, void*) noexcept {
    const auto window = static_cast<std::size_t>(std::max(std::min(connection_window, stream_window), 1));
    return static_cast<ssize_t>(std::min({window, std::size_t{max_frame_bytes}, kMaxSentFrameBytes}));
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const std::uint8_t* head, std::size_t size,
                       nghttp2_data_source* source, void* user_data) noexcept {
    constexpr std::size_t kFrameHeadBytes = 9;
    H2Connection& connection = self(user_data);
    H2Stream& from = *static_cast<H2Stream*>(source->ptr);
    connection.out_->message.text().append(text_of(head, kFrameHeadBytes));
    connection.append_body(from, size);
    connection.out_bytes_ += kFrameHeadBytes + size;
    from.moved_ns_ = connection.now_ns_;
    if (from.unsent_bytes_ == 0) from.on_sent();
    connection.paused_ = connection.out_bytes_ >= connection.out_limit_bytes_;
    return connection.paused_ ? NGHTTP2_ERR_PAUSE : 0;
  }
};

H2Connection::H2Connection(User& user, const Http2Limits& limits)
    : user_(user),
      limits_(limits),
      resets_(limits.max_resets_per_second * 5, limits.max_resets_per_second),
      control_frames_(kControlFrameBurst, kControlFramesPerSecond),
      window_bytes_(limits.connection_window_bytes) {
  nghttp2_session_callbacks* made_callbacks = nullptr;
  check(nghttp2_session_callbacks_new(&made_callbacks));
  const std::unique_ptr<nghttp2_session_callbacks, Delete> callbacks(made_callbacks);
  nghttp2_session_callbacks_set_on_begin_frame_callback(made_callbacks, Callbacks::on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(made_callbacks, Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(made_callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(made_callbacks, Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made_callbacks, Callbacks::on_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(made_callbacks, Callbacks::on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(made_callbacks, Callbacks::on_sent);
  nghttp2_session_callbacks_set_send_data_callback(made_callbacks, Callbacks::send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(made_callbacks, Callbacks::frame_bytes);

  nghttp2_option* made_option = nullptr;
  check(nghttp2_option_new(&made_option));
  const std::unique_ptr<nghttp2_option, Delete> option(made_option);
  nghttp2_option_set_no_auto_window_update(made_option, 1);
  nghttp2_option_set_no_closed_streams(made_option, 1);
  nghttp2_option_set_max_continuations(made_option, kMaxContinuations);
  nghttp2_option_set_stream_reset_rate_limit(made_option, kNoOwnLimit, kNoOwnLimit);

  check(nghttp2_session_server_new2(&session_, made_callbacks, this, made_option));
  const std::array<nghttp2_settings_entry, 5> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(limits.stream_window_bytes)},
      {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kMaxFrameBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.max_metadata_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  }};
  check(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()));
  check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                              static_cast<std::int32_t>(window_bytes_)));
}

H2Connection::~H2Connection() {
  while (streams_ != nullptr) drop(*streams_);
  nghttp2_session_del(session_);
}

bool H2Connection::receive(std::span<const std::byte> bytes, std::uint64_t now_ns) {
  now_ns_ = now_ns;
  const ssize_t taken =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  check(taken < 0 ? static_cast<int>(taken) : 0);
  changed();
  return taken == static_cast<ssize_t>(bytes.size());
}

bool H2Connection::finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

void H2Connection::respond(H2Stream& stream) {
  if (stream.responded_) return;
  stream.responded_ = true;
  static const std::array kFields = {field(":status", "200", true),
                                     field("content-type", "application/grpc", true),
                                     field("grpc-accept-encoding", "identity, deflate, gzip", true)};
  nghttp2_data_provider body{};
  body.source.ptr = &stream;
  body.read_callback = Callbacks::read;
  check(nghttp2_submit_response(session_, stream.id_, kFields.data(), kFields.size(), &body));
  changed();
}

void H2Connection::reset(H2Stream& stream, std::uint32_t error_code) {
  check(nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, error_code));
  changed();
}

void H2Connection::consume(H2Stream& stream, std::size_t size_bytes) {
  if (size_bytes == 0) return;
  check(nghttp2_session_consume_stream(session_, stream.id_, size_bytes));
  changed();
}

void H2Connection::expect(H2Stream& stream, std::size_t size_bytes) {
  const std::size_t window_bytes = std::min(size_bytes, std::size_t{NGHTTP2_MAX_WINDOW_SIZE} / 2);
  if (window_bytes > limits_.stream_window_bytes) {
    check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, stream.id_,
                                                static_cast<std::int32_t>(window_bytes)));
  }
  if (window_bytes > window_bytes_) {
    window_bytes_ = window_bytes;
    check(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                static_cast<std::int32_t>(window_bytes)));
  }
  changed();
}

H2Stream* H2Connection::find(std::int32_t id) const {
  return Callbacks::stream(session_, id);
}

void H2Connection::ping() {
  check(nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr));
  changed();
}

void H2Connection::go_away(bool last_call) {
  if (last_call) {
    check(nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                                nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR, nullptr,
                                0));
  } else {
    check(nghttp2_submit_shutdown_notice(session_));
  }
  changed();
}

void H2Connection::terminate(std::uint32_t error_code) {
  if (std::exchange(terminated_, true)) return;
  check(nghttp2_session_terminate_session(session_, error_code));
  changed();
}

void H2Connection::adopt(std::int32_t id, std::unique_ptr<H2Stream> stream) {
  H2Stream& at = *stream;
  if (nghttp2_session_set_stream_user_data(session_, id, &at) != 0) return;  // reset meanwhile
  at.id_ = id;
  at.next_ = streams_;
  at.place_ = &streams_;
  if (streams_ != nullptr) streams_->place_ = &at.next_;
  streams_ = stream.release();  // the list's, until drop()
  ++num_streams_;
  at.on_open();
}

void H2Connection::drop(H2Stream& stream) {
  *stream.place_ = stream.next_;
  if (stream.next_ != nullptr) stream.next_->place_ = stream.place_;
  --num_streams_;
  const std::unique_ptr<H2Stream> owned(&stream);
}

void H2Connection::counted(Allowance& allowance) {
  if (!allowance.take(now_ns_)) terminate(NGHTTP2_ENHANCE_YOUR_CALM);
}

void H2Connection::changed() {
  if (out_ != nullptr || output_told_ || nghttp2_session_want_write(session_) == 0) return;
  output_told_ = true;
  user_.on_output();
}

}  // namespace naiad
