#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "io/access_gate.h"
#include "io/bridge.h"
#include "io/edge_counts.h"
#include "io/tls_context.h"
#include "protocol/header_forward.h"
#include "protocol/v2_http.h"

namespace naiad {

// Where one protocol is served. port 0 lets the kernel choose.
struct ListenOptions {
  bool enabled = true;
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  bool reuse_port = false;
  int backlog = 1024;
  std::optional<TlsFiles> tls;  // without: plain
  HeaderForward forward{};      // fields of the header, or of the metadata, that models see
  AccessGate gate{};            // who may ask what
};

// Bounds of an HTTP/2 connection.
struct Http2Limits {
  std::uint32_t max_concurrent_streams = 1024;       // clients open one channel for many callers
  std::size_t max_message_bytes = (1UL << 31) - 1;   // as Triton has it
  std::size_t max_metadata_bytes = 16UL << 10;       // names and values of a call's header fields together
  std::size_t stream_window_bytes = 4UL << 20;       // what a client may send ahead on one stream
  std::size_t connection_window_bytes = 16UL << 20;  // and on all of them
  std::size_t max_resets_per_second = 200;           // of streams, by the client: more is an attack
  std::size_t max_waiting_requests = 256;            // of one ModelStreamInfer, not answered yet
  std::uint64_t idle_timeout_ns = 0;                 // without a call; 0 = kept: clients hold channels open
  std::uint64_t keepalive_time_ns = 7'200'000'000'000;  // silent so long: pinged; 0 = never
  std::uint64_t keepalive_timeout_ns = 20'000'000'000;  // and closed when the ping is not answered
};

struct DataPlaneOptions {
  ListenOptions http;
  ListenOptions grpc;
  std::size_t num_threads = 1;
  std::uint64_t spin_ns = 0;  // see EventLoop
  std::size_t max_connections = 10'000;
  std::size_t max_message_bytes = 64UL << 20;        // a body of HTTP, compressed and not
  std::size_t max_in_flight_bytes = 1UL << 30;       // bodies of all connections together
  std::uint64_t header_timeout_ns = 10'000'000'000;  // from the first byte of a head to its last; a handshake
  std::uint64_t idle_timeout_ns = 75'000'000'000;    // between requests of a connection
  std::uint64_t control_idle_ns = 5'000'000'000;     // after which its way to Python is let go of
  std::uint64_t stall_timeout_ns = 30'000'000'000;   // no byte moves either way in the middle of a message
  std::size_t min_bytes_per_second = 1024;           // of a message, over each stall_timeout_ns
  std::uint64_t last_call_ns = 250'000'000;          // in which an idle HTTP client may still ask, draining
  bool access_log = false;                           // a line for each request
  DecodeLimits decode;
  Http2Limits http2;
};

// Counters of the edges, for metrics. Cumulative but for open_connections and in_flight.
struct DataPlaneUsage {
  std::size_t open_connections = 0;
  std::size_t in_flight = 0;
  std::size_t in_flight_bytes = 0;
  std::uint64_t accepted_connections = 0;
  std::uint64_t refused_connections = 0;
  std::uint64_t failed_handshakes = 0;  // of TLS
};

// Requests that were answered, of all threads: those of one kind may come several times.
struct AnsweredRequests {
  std::vector<EdgeCounts::Count> http;
  std::vector<EdgeCounts::Count> grpc;
};

// The I/O threads: they accept, read, decode, submit, encode and write without the GIL. What is not inference
// goes over the bridge to Python.
class DataPlane {
 public:
  // Binds and listens; serves once start() is called. Throws Error(kUnavailable) when a port cannot be had,
  // Error(kInvalidArgument) when the files of TLS are of no use.
  DataPlane(Engine& engine, Bridge& bridge, DataPlaneOptions options);
  // Stops at once.
  ~DataPlane();

  // Any thread, once.
  void start();
  std::uint16_t http_port() const;
  std::uint16_t grpc_port() const;

  // New inference requests are answered "stopping" from now on; all else is served. Any thread; never blocks.
  void refuse_inference();
  // Refuses inference and new connections; what is under way is finished, connections closed as they fall
  // idle (GOAWAY on HTTP/2). True when all had ended within the time. Blocks. Any thread.
  bool drain(std::uint64_t timeout_ns);
  // Answers the inference requests in flight that they were not finished in time. Any thread; never blocks.
  void give_up();
  // Closes everything and joins the threads. Blocks; idempotent.
  void stop();

  // Read the files of a port's TLS again. True: they have changed, and new connections get what they hold
  // now. False for a port without TLS as well. Throw Error(kInvalidArgument): what was there goes on. Block
  // while they read. Any thread.
  bool reload_http_tls();
  bool reload_grpc_tls();

  DataPlaneUsage usage() const;
  AnsweredRequests answered() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace naiad
