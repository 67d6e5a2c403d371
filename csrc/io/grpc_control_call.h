#pragma once

#include <deque>

#include "io/grpc_call.h"

namespace naiad {

class ControlLink;

// A call that goes over the bridge: its messages wait here until Python asks for them. I/O thread.
class GrpcControlCall final : public GrpcCall {
 public:
  using Taken = std::function<void(std::unique_ptr<std::string>)>;

  GrpcControlCall(GrpcConnection& connection, GrpcHead& head);
  // Python finds the call cancelled from now on.
  ~GrpcControlCall() override;

  // What Python does, come over by EventLoop::post.
  void read(Taken taken);
  void write(std::string message);

 private:
  void on_open() override;
  void on_message(GrpcMessage message) override;
  // Python takes one message at a time; what the client sends ahead waits in the window.
  bool may_begin() const override { return !waiting_; }
  void on_half_close() override;
  void on_abandoned() override;

  void give();

  const std::shared_ptr<ControlLink> link_;
  std::optional<GrpcMessage> waiting_;
  Taken taken_;
  bool half_closed_ = false;
};

}  // namespace naiad
