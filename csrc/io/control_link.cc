#include "io/control_link.h"

#include <utility>

#include "io/grpc_control_call.h"

namespace naiad {
namespace {

// Calls its function once: with a message, or with null when it dies before, wherever a task was dropped.
class Reading {
 public:
  explicit Reading(GrpcControlCall::Taken taken) : taken_(std::move(taken)) {}
  ~Reading() {
    if (taken_) taken_(nullptr);
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  void give(std::unique_ptr<std::string> message) { std::exchange(taken_, nullptr)(std::move(message)); }

 private:
  GrpcControlCall::Taken taken_;
};

GrpcStatus checked_status(int number) {
  const bool known = number >= 0 && number <= static_cast<int>(GrpcStatus::kUnauthenticated);
  return known ? static_cast<GrpcStatus>(number) : GrpcStatus::kUnknown;
}

}  // namespace

ControlLink::ControlLink(EventLoop& loop, GrpcControlCall& call, std::string method, Metadata metadata,
                         std::uint64_t deadline_ns)
    : method_(std::move(method)),
      metadata_(std::move(metadata)),
      deadline_ns_(deadline_ns),
      call_(&call),
      loop_(&loop) {}

void ControlLink::read(std::function<void(std::unique_ptr<std::string>)> taken) {
  auto reading = std::make_shared<Reading>(std::move(taken));
  post([reading = std::move(reading)](GrpcControlCall& call) {
    call.read([reading](std::unique_ptr<std::string> message) { reading->give(std::move(message)); });
  });
}

void ControlLink::write(std::string message) {
  post([message = std::move(message)](GrpcControlCall& call) mutable { call.write(std::move(message)); });
}

void ControlLink::finish(int grpc_status, std::string message) {
  post([status = checked_status(grpc_status), message = std::move(message)](GrpcControlCall& call) {
    call.finish(status, message);
  });
}

void ControlLink::on_cancel(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (!cancelled()) {
      gone_ = std::move(gone);
      return;
    }
  }
  gone();
}

void ControlLink::cancel() {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_.exchange(true, std::memory_order_release)) return;
    gone = std::exchange(gone_, nullptr);
  }
  if (gone) gone();
}

void ControlLink::detach() {
  call_ = nullptr;
  std::function<void()> dropped;  // outside the lock: it may own anything
  const std::lock_guard lock(mutex_);
  loop_ = nullptr;
  dropped = std::exchange(gone_, nullptr);
}

void ControlLink::post(std::function<void(GrpcControlCall&)> task) {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return;
  loop_->post([self = shared_from_this(), task = std::move(task)] {
    if (self->call_ != nullptr) task(*self->call_);
  });
}

}  // namespace naiad
