#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "io/bridge.h"
#include "io/event_loop.h"

namespace naiad {

class GrpcControlCall;

// Python's end of a call. It may live on when the call, its connection and its loop are gone: then it says
// cancelled, gives no messages and drops what is written.
class ControlLink final : public ControlCall, public std::enable_shared_from_this<ControlLink> {
 public:
  ControlLink(EventLoop& loop, GrpcControlCall& call, std::string method, Metadata metadata,
              std::uint64_t deadline_ns);

  const std::string& method() const override { return method_; }
  const Metadata& metadata() const override { return metadata_; }
  std::uint64_t deadline_ns() const override { return deadline_ns_; }
  void read(std::function<void(std::unique_ptr<std::string>)> taken) override;
  void write(std::string message) override;
  void finish(int grpc_status, std::string message) override;
  bool cancelled() const override { return cancelled_.load(std::memory_order_acquire); }
  void on_cancel(std::function<void()> gone) override;

  // The client has gone before the end: tells Python. I/O thread.
  void cancel();
  // There is no call any more. I/O thread.
  void detach();

 private:
  // Runs `task` on the I/O thread if the call is still there then; drops it otherwise. Any thread.
  void post(std::function<void(GrpcControlCall&)> task);

  const std::string method_;
  const Metadata metadata_;
  const std::uint64_t deadline_ns_;
  std::atomic<bool> cancelled_{false};  // release in cancel(), acquire in cancelled()
  GrpcControlCall* call_;               // I/O thread; null once detached

  std::mutex mutex_;
  EventLoop* loop_;  // null once detached: it may be gone
  std::function<void()> gone_;
};

}  // namespace naiad
