#include "io/grpc_control_call.h"

#include <utility>

#include "io/control_link.h"

namespace naiad {

namespace {

// With the name of the key that was shown.
ControlCall::Metadata metadata_of(GrpcHead& head) {
  ControlCall::Metadata metadata = head.take_metadata();
  if (!head.key_name().empty()) metadata.emplace_back(kKeyNameField, head.key_name());
  return metadata;
}

}  // namespace

GrpcControlCall::GrpcControlCall(GrpcConnection& connection, GrpcHead& head)
    : GrpcCall(connection, head),
      link_(std::make_shared<ControlLink>(connection.context.loop, *this, head.path(), metadata_of(head),
                                          deadline_ns())) {}

GrpcControlCall::~GrpcControlCall() {
  if (!done()) link_->cancel();
  link_->detach();
}

void GrpcControlCall::on_open() {
  GrpcCall::on_open();
  if (!done()) context().bridge.push(std::shared_ptr<ControlCall>(link_));
}

void GrpcControlCall::on_message(GrpcMessage message) {
  waiting_ = std::move(message);
  give();
}

void GrpcControlCall::on_half_close() {
  half_closed_ = true;
  give();
}

void GrpcControlCall::on_abandoned() {
  link_->cancel();
  waiting_.reset();
  if (taken_) std::exchange(taken_, nullptr)(nullptr);
}

void GrpcControlCall::read(Taken taken) {
  taken_ = std::move(taken);
  give();
  resume();
}

void GrpcControlCall::give() {
  if (!taken_) return;
  if (waiting_) {
    const auto bytes = waiting_->bytes();
    auto text = std::make_unique<std::string>(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    waiting_.reset();
    std::exchange(taken_, nullptr)(std::move(text));
  } else if (half_closed_ || done()) {
    std::exchange(taken_, nullptr)(nullptr);
  }
}

void GrpcControlCall::write(std::string message) {
  if (done()) return;
  Outgoing outgoing;
  auto owned = std::make_shared<std::string>(std::move(message));
  reserve_grpc_prefix(outgoing.message);
  outgoing.message.append_view(std::as_bytes(std::span(*owned)));
  complete_grpc_prefix(outgoing.message);
  outgoing.owner = std::move(owned);
  send(std::move(outgoing));
}

}  // namespace naiad
