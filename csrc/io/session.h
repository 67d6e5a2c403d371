#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "engine/engine.h"
#include "io/bridge.h"
#include "io/budget.h"
#include "io/coding_thread.h"
#include "io/data_plane.h"
#include "io/edge_counts.h"
#include "io/event_loop.h"
#include "io/in_flight.h"
#include "io/transport.h"
#include "memory/tensor_pool.h"

namespace naiad {

// One connection with its protocol: owns the Stream, answers what the client asks. I/O thread.
class Session {
 public:
  // Closes the connection; what it has in flight is cancelled.
  virtual ~Session() = default;

  // Takes no new requests, finishes those that are under way, then closes and ends (GOAWAY on HTTP/2,
  // Connection: close on HTTP/1.1). Idempotent.
  virtual void drain() = 0;
  // Whether no request is under way: nothing is lost when the connection closes now.
  virtual bool idle() const = 0;
};

// What the sessions of one I/O thread work with. Outlives them.
struct SessionContext {
  EventLoop& loop;
  Engine& engine;
  InFlight& in_flight;
  Bridge& bridge;
  TensorPool& pool;
  Budget& bytes;  // bodies of requests, from their announcement until their request has been answered
  const DataPlaneOptions& options;
  // Pairs with the store of DataPlane::drain() (relaxed: a request that just missed it is served).
  const std::atomic<bool>& stopping;
  CodingThread& coding;
  // The session has closed its connection and is of no more use. Called once, perhaps from within any of its
  // own calls: the session must not be destroyed before that call has returned (EventLoop::post).
  std::function<void(Session&)> ended;
  EdgeCounts& counts;

  // What a client has to send of a message in a time.
  std::uint64_t least_bytes(std::uint64_t time_ns) const {
    return time_ns / 1'000'000 * options.min_bytes_per_second / 1000;
  }
};

}  // namespace naiad
