#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "queue/completion_queue.h"

namespace naiad {

// A gRPC call that Python handles: any method but inference. The I/O thread that has its stream feeds it;
// Python answers from its own thread, and the answers travel back by EventLoop::post.
class ControlCall {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  virtual ~ControlCall() = default;

  // Fixed from the start. Any thread.
  virtual const std::string& method() const = 0;  // "/package.Service/Method"
  virtual const Metadata& metadata() const = 0;
  virtual std::uint64_t deadline_ns() const = 0;  // steady clock; 0 = none

  // The next message of the client, decompressed; the callback is called on any thread, once: with the
  // message, or with null when the client has half-closed or gone. One at a time.
  virtual void read(std::function<void(std::unique_ptr<std::string>)> taken) = 0;
  // Sends one message. Any thread.
  virtual void write(std::string message) = 0;
  // Ends the call with a status (grpc-status number) and message. Any thread; once.
  virtual void finish(int grpc_status, std::string message) = 0;
  // True once the client has cancelled or gone. Any thread.
  virtual bool cancelled() const = 0;
  // Called once on the I/O thread when that happens; set before the first read().
  virtual void on_cancel(std::function<void()> gone) = 0;
};

// A new byte stream for the control plane's HTTP server: one end of a socket pair, which Python takes over.
struct ControlConnection {
  int fd = -1;
};

// What ControlCall::read() has got, under the number that Python knows the call by; null: no more comes.
struct ControlMessage {
  std::uint64_t call = 0;
  std::unique_ptr<std::string> message;
};

// ControlCall::on_cancel() of that call.
struct ControlCancel {
  std::uint64_t call = 0;
};

using BridgeItem =
    std::variant<ControlConnection, std::shared_ptr<ControlCall>, ControlMessage, ControlCancel>;

// What I/O threads hand to Python's event loop.
class Bridge {
 public:
  // Readable when there is something. Any thread.
  int fd() const { return queue_.fd(); }
  // Any thread.
  void push(BridgeItem item) { queue_.push(std::move(item)); }
  // One thread.
  void drain(std::vector<BridgeItem>& items) { queue_.drain(items); }

 private:
  CompletionQueue<BridgeItem> queue_;
};

}  // namespace naiad
