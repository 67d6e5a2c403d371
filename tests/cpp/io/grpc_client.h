#pragma once

#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace naiad::test {

inline constexpr std::string_view kModelInfer = "/inference.GRPCInferenceService/ModelInfer";
inline constexpr std::string_view kModelStreamInfer = "/inference.GRPCInferenceService/ModelStreamInfer";

using Fields = std::vector<std::pair<std::string, std::string>>;

// A gRPC client on a connected socket, over nghttp2, that a test drives step by step.
class GrpcClient {
 public:
  struct Options {
    std::uint32_t window_bytes = 65'535;  // of streams, and of the connection
    bool consumes = true;                 // opens its windows for what it has received
    std::size_t max_piece_bytes = 0;      // > 0: sends in pieces of random size up to this
    bool automatic_ping = true;
  };

  // What has come of a call.
  struct Call {
    std::map<std::string, std::string> head;
    std::map<std::string, std::string> trailers;
    std::string body;
    bool closed = false;
    std::uint32_t error_code = 0;

    // -1: none has come.
    int status() const {
      const auto& fields = trailers.count("grpc-status") != 0 ? trailers : head;
      const auto found = fields.find("grpc-status");
      return found == fields.end() ? -1 : std::stoi(found->second);
    }
    std::string message() const {
      const auto& fields = trailers.count("grpc-message") != 0 ? trailers : head;
      const auto found = fields.find("grpc-message");
      return found == fields.end() ? "" : found->second;
    }
    // The complete messages in the body.
    std::vector<std::string> messages() const {
      std::vector<std::string> list;
      for (std::size_t at = 0; at + 5 <= body.size();) {
        std::size_t size = 0;
        for (std::size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<unsigned char>(body[at + i]);
        if (at + 5 + size > body.size()) break;
        list.push_back(body.substr(at + 5, size));
        at += 5 + size;
      }
      return list;
    }
  };

  explicit GrpcClient(int fd) : GrpcClient(fd, Options()) {}
  GrpcClient(int fd, const Options& options) : fd_(fd), options_(options) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, 100'000);
    nghttp2_session_client_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.window_bytes},
                                               {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(session_, 0, settings, 2);
    nghttp2_session_set_local_window_size(session_, 0, 0, static_cast<std::int32_t>(options.window_bytes));
  }
  ~GrpcClient() {
    nghttp2_session_del(session_);
    close_socket();
  }
  GrpcClient(const GrpcClient&) = delete;
  GrpcClient& operator=(const GrpcClient&) = delete;

  std::int32_t open(std::string_view path, const Fields& fields = {},
                    std::string_view type = "application/grpc", std::string_view method = "POST") {
    Fields all = {{":method", std::string(method)},
                  {":scheme", "http"},
                  {":path", std::string(path)},
                  {":authority", "test"}};
    if (!type.empty()) all.emplace_back("content-type", type);
    all.emplace_back("te", "trailers");
    all.insert(all.end(), fields.begin(), fields.end());
    std::vector<nghttp2_nv> list;
    for (auto& [name, value] : all) {
      list.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                      reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider provider{};
    provider.read_callback = read;
    const std::int32_t id =
        nghttp2_submit_request(session_, nullptr, list.data(), list.size(), &provider, nullptr);
    calls_[id];
    out_[id];
    return id;
  }
  // Bytes of the body, as they are.
  void write(std::int32_t id, std::string_view bytes) {
    out_[id].bytes += bytes;
    nghttp2_session_resume_data(session_, id);
  }
  void write_message(std::int32_t id, std::string_view message, bool compressed = false) {
    std::string framed(1, compressed ? '\1' : '\0');
    for (unsigned shift : {24U, 16U, 8U, 0U}) framed += static_cast<char>((message.size() >> shift) & 0xFF);
    framed += message;
    write(id, framed);
  }
  void half_close(std::int32_t id) {
    out_[id].ended = true;
    nghttp2_session_resume_data(session_, id);
  }
  void reset(std::int32_t id) { nghttp2_submit_rst_stream(session_, 0, id, NGHTTP2_CANCEL); }
  void ping() { nghttp2_submit_ping(session_, 0, nullptr); }
  // A whole unary call as far as the client goes.
  std::int32_t ask(std::string_view path, std::string_view message, const Fields& fields = {}) {
    const std::int32_t id = open(path, fields);
    write_message(id, message);
    half_close(id);
    return id;
  }

  Call& call(std::int32_t id) { return calls_[id]; }
  nghttp2_session* session() { return session_; }
  std::size_t num_pongs() const { return num_pongs_; }
  std::size_t num_goaways() const { return num_goaways_; }
  std::uint32_t goaway_code() const { return goaway_code_; }
  std::int32_t goaway_last() const { return goaway_last_; }
  // The server has closed the connection.
  bool gone() const { return gone_; }

  // Opens the windows for what has been received, once.
  void consume_all() {
    for (const auto& [id, size] : received_) nghttp2_session_consume(session_, id, size);
    received_.clear();
  }
  void close_socket() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Sends bytes past nghttp2.
  void send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  // Sends and receives until it is true, or the connection ends; false when that took 20 s, or it never
  // became.
  bool pump(const std::function<bool()>& until) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!until()) {
      if (std::chrono::steady_clock::now() > end) return false;
      if (gone_) return until();
      fill();
      pollfd waiting{fd_, static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT), 0};
      poll(&waiting, 1, 10);
      if ((waiting.revents & POLLOUT) != 0) push();
      if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) != 0) pull();
    }
    return true;
  }
  bool pump_closed(std::int32_t id) {
    return pump([&] { return call(id).closed; });
  }
  // Sends what is queued, as far as the windows allow.
  void push_all() {
    fill();
    while (!unsent_.empty()) {
      if (!push()) {
        pollfd waiting{fd_, POLLOUT, 0};
        poll(&waiting, 1, 100);
      }
      fill();
    }
  }

 private:
  struct Out {
    std::string bytes;
    std::size_t at = 0;
    bool ended = false;
  };

  static GrpcClient& self(void* user) { return *static_cast<GrpcClient*>(user); }

  static ssize_t read(nghttp2_session*, std::int32_t id, std::uint8_t* buffer, std::size_t size,
                      std::uint32_t* flags, nghttp2_data_source*, void* user) {
    Out& out = self(user).out_[id];
    const std::size_t count = std::min(size, out.bytes.size() - out.at);
    std::copy_n(out.bytes.begin() + static_cast<std::ptrdiff_t>(out.at), count, buffer);
    out.at += count;
    const bool all = out.at == out.bytes.size();
    if (all && out.ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count == 0 && !out.ended) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(count);
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                       void* user) {
    Call& call = self(user).calls_[frame->hd.stream_id];
    auto& fields = frame->headers.cat == NGHTTP2_HCAT_RESPONSE ? call.head : call.trailers;
    fields[std::string(reinterpret_cast<const char*>(name), name_size)] =
        std::string(reinterpret_cast<const char*>(value), value_size);
    return 0;
  }
  static int on_chunk(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                      std::size_t size, void* user) {
    GrpcClient& client = self(user);
    client.calls_[id].body.append(reinterpret_cast<const char*>(data), size);
    if (client.options_.consumes) {
      nghttp2_session_consume(session, id, size);
    } else {
      client.received_.emplace_back(id, size);
    }
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t error_code, void* user) {
    Call& call = self(user).calls_[id];
    call.closed = true;
    call.error_code = error_code;
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    GrpcClient& client = self(user);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++client.num_pongs_;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      ++client.num_goaways_;
      client.goaway_code_ = frame->goaway.error_code;
      client.goaway_last_ = frame->goaway.last_stream_id;
    }
    return 0;
  }

  void fill() {
    const std::uint8_t* data = nullptr;
    for (ssize_t size = 0;
         unsent_.size() < 1 << 20 && (size = nghttp2_session_mem_send(session_, &data)) > 0;) {
      unsent_.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
    }
  }
  bool push() {
    std::size_t size = unsent_.size();
    if (options_.max_piece_bytes > 0) size = std::min(size, 1 + random_() % options_.max_piece_bytes);
    const ssize_t count = ::send(fd_, unsent_.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return false;
    unsent_.erase(0, static_cast<std::size_t>(count));
    return true;
  }
  void pull() {
    std::vector<std::uint8_t> buffer(64UL << 10);
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) gone_ = true;
    if (count > 0 && nghttp2_session_mem_recv(session_, buffer.data(), static_cast<std::size_t>(count)) < 0) {
      broken_ = true;
      gone_ = true;
    }
  }

  int fd_;
  const Options options_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, Call> calls_;
  std::map<std::int32_t, Out> out_;
  std::vector<std::pair<std::int32_t, std::size_t>> received_;
  std::string unsent_;
  std::size_t num_pongs_ = 0;
  std::size_t num_goaways_ = 0;
  std::uint32_t goaway_code_ = 0;
  std::int32_t goaway_last_ = 0;
  bool gone_ = false;
  bool broken_ = false;
  std::mt19937 random_{7};  // the same pieces each time
};

}  // namespace naiad::test
