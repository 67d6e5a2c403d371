#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "codec_target.h"
#include "execute/execution.h"
#include "io/grpc_session.h"
#include "protocol/grpc_wire.h"

namespace naiad::fuzz {

// Y = X for the model "m".
class EchoBackend final : public Backend {
 public:
  void execute(Execution& execution) override { execution.output(0, execution.input(0)); }
};

// What outlives one input: an engine with a model, and the loop.
struct GrpcServer {
  GrpcServer() : engine(make_arena_pool(64UL << 20)) {
    ModelSpec spec;
    spec.name = "m";
    spec.max_batch_size = 4;
    spec.inputs.push_back({"X", DataType::kFp32, Shape{-1}, {}, false, {}});
    spec.outputs.push_back({"Y", DataType::kFp32, Shape{-1}, {}, false, {}});
    spec.max_queue_size = 16;
    model = engine.start(spec, [](const InstanceSpec&) { return std::make_unique<EchoBackend>(); },
                         {{"m_0", {}}});
    engine.publish("m", {model});
    options.max_message_bytes = 1UL << 20;
    options.http2.max_waiting_requests = 3;
  }

  Engine engine;
  std::shared_ptr<Model> model;
  const SteadyClock clock;
  EventLoop loop{clock};
  InFlight in_flight{loop};
  CodingThread coding{loop, "code"};
  Bridge bridge;
  DataPlaneOptions options;
  Budget bytes{8UL << 20};
  std::atomic<bool> stopping{false};
  EdgeCounts counts;
};

// A block of header fields without compression: what a fuzzer would not find by itself.
inline std::string head_block(std::string_view path, std::string_view encoding, std::string_view timeout) {
  std::string block;
  const auto field = [&](std::string_view name, std::string_view value) {
    block += '\0';
    block += static_cast<char>(name.size());
    block += name;
    block += static_cast<char>(value.size());
    block += value;
  };
  field(":method", "POST");
  field(":scheme", "http");
  field(":path", path);
  field(":authority", "a");
  field("content-type", "application/grpc");
  if (!encoding.empty()) field("grpc-encoding", encoding);
  if (!timeout.empty()) field("grpc-timeout", timeout);
  return block;
}

inline std::string ready_head(unsigned choice) {
  constexpr std::string_view kInfer = "/inference.GRPCInferenceService/ModelInfer";
  constexpr std::string_view kStream = "/inference.GRPCInferenceService/ModelStreamInfer";
  switch (choice % 5) {
    case 0:
      return head_block(kInfer, "", "");
    case 1:
      return head_block(kStream, "", "1S");
    case 2:
      return head_block(kInfer, "gzip", "1n");
    case 3:
      return head_block(kStream, "deflate", "");
    default:
      return head_block("/a.B/C", "", "");
  }
}

// The input as a list of frames: type, flags, stream, size, and that many bytes. A HEADERS frame with the
// high bit of its flags set has a ready block; a DATA frame with it set has the prefix of its message put in
// front.
inline std::string frames_of(std::span<const std::uint8_t> input) {
  std::string wire = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  wire += std::string("\0\0\0\4\0\0\0\0\0", 9);
  while (input.size() >= 4) {
    const unsigned type = input[0] % 10;
    const unsigned flags = input[1];
    const std::size_t size = std::min<std::size_t>(input[3], input.size() - 4);
    std::string content(reinterpret_cast<const char*>(input.data()) + 4, size);
    if (type == 1 && (flags & 0x80) != 0) content = ready_head(input[3]);
    if (type == 0 && (flags & 0x80) != 0) {
      std::string prefix(kGrpcPrefixBytes, '\0');
      write_grpc_prefix(std::span<char, kGrpcPrefixBytes>(prefix.data(), kGrpcPrefixBytes),
                        (flags & 0x40) != 0, content.size());
      content.insert(0, prefix);
    }
    for (const unsigned shift : {16U, 8U, 0U}) wire += static_cast<char>((content.size() >> shift) & 0xFF);
    wire += static_cast<char>(type);
    wire += static_cast<char>(flags & 0x3F);
    wire += std::string(3, '\0') + static_cast<char>(input[2] & 0x7F);
    wire += content;
    input = input.subspan(4 + (type == 1 && (flags & 0x80) != 0 ? 0 : size));
  }
  return wire;
}

// A whole connection: the input's bytes, or the frames that they describe, then the end. Nothing may be left.
inline int run_grpc_session(std::span<const std::uint8_t> input) {
  static GrpcServer server;  // its threads are made once
  if (input.empty()) return 0;
  const auto rest = input.subspan(1);
  const std::string wire = (input[0] & 1) != 0
                               ? frames_of(rest)
                               : std::string(reinterpret_cast<const char*>(rest.data()), rest.size());
  int ends[2];
  require(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "a socket pair can be made");
  for (const int end : ends) fcntl(end, F_SETFL, O_NONBLOCK);
  std::unique_ptr<Session> session;
  SessionContext context{server.loop,
                         server.engine,
                         server.in_flight,
                         server.bridge,
                         server.engine.pool(),
                         server.bytes,
                         server.options,
                         server.stopping,
                         server.coding,
                         [&](Session&) {
                           server.loop.post([&] {
                             session.reset();
                             server.loop.stop();
                           });
                         },
                         server.counts};
  session = make_grpc_session(context, make_plain_transport(ends[0]));
  const ssize_t sent = send(ends[1], wire.data(), wire.size(), MSG_NOSIGNAL);
  static_cast<void>(sent);  // what the socket does not take is cut off: an input like others
  if ((input[0] & 2) != 0) server.loop.post([&] { session->drain(); });
  shutdown(ends[1], SHUT_WR);
  server.loop.run();
  close(ends[1]);
  std::vector<BridgeItem> items;
  server.bridge.drain(items);
  for (const BridgeItem& item : items) {
    auto& call = *std::get<std::shared_ptr<ControlCall>>(item);
    require(call.cancelled(), "a call whose connection has gone is cancelled");
    bool told = false;
    call.read([&](std::unique_ptr<std::string> message) { told = message == nullptr; });
    require(told, "a reader of a call that has gone is told");
  }
  require(server.bytes.used() == 0, "a connection that has gone gives its bytes back");
  return 0;
}

}  // namespace naiad::fuzz
