#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "io/h2_connection.h"
#include "io/nghttp2_values.h"

// What an HTTP/2 connection sends: answers, and their bodies as views of tensors.
namespace naiad {

using h2::check;
using h2::field;
using h2::text_of;

bool H2Connection::take_output(Outgoing& outgoing, std::size_t limit_bytes, std::uint64_t now_ns) {
  now_ns_ = now_ns;
  out_ = &outgoing;
  output_told_ = false;
  out_bytes_ = outgoing.message.size_bytes();
  out_limit_bytes_ = limit_bytes;
  owners_ = nullptr;
  bool taken = true;
  while (out_bytes_ < limit_bytes) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    check(size < 0 ? static_cast<int>(size) : 0);
    if (size > 0) {
      outgoing.message.text().append(text_of(data, static_cast<std::size_t>(size)));
      out_bytes_ += static_cast<std::size_t>(size);
    } else if (size < 0 || !std::exchange(paused_, false)) {
      taken = size == 0;
      break;
    }
  }
  outgoing.message.end_text();
  out_ = nullptr;
  return taken;
}

void H2Connection::send(H2Stream& stream, Outgoing&& message) {
  respond(stream);
  const std::size_t size_bytes = message.message.size_bytes();
  H2Stream::Part part;
  if (size_bytes <= kCopyBytes) {
    part.text.reserve(size_bytes);
    for (const WireMessage::Piece& piece : message.message.pieces()) {
      const auto bytes = message.message.bytes(piece);
      part.text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  } else {
    part.outgoing = std::make_shared<const Outgoing>(std::move(message));
  }
  stream.parts_.push_back(std::move(part));
  if (stream.unsent_bytes_ == 0) stream.moved_ns_ = now_ns_;
  stream.unsent_bytes_ += size_bytes;
  if (std::exchange(stream.deferred_, false)) check(nghttp2_session_resume_data(session_, stream.id_));
  changed();
}

void H2Connection::finish(H2Stream& stream, GrpcStatus status, std::string_view message) {
  if (stream.finished_) return;
  stream.finished_ = true;
  stream.status_ = grpc_status_text(status);
  stream.message_ = encode_grpc_message(message);
  if (stream.responded_) {
    if (std::exchange(stream.deferred_, false)) check(nghttp2_session_resume_data(session_, stream.id_));
  } else {
    stream.responded_ = true;
    const std::array fields = {field(":status", "200", true), field("content-type", "application/grpc", true),
                               field("grpc-accept-encoding", "identity, deflate, gzip", true),
                               field("grpc-status", stream.status_, true),
                               field("grpc-message", stream.message_, false)};
    const std::size_t count = stream.message_.empty() ? fields.size() - 1 : fields.size();
    check(nghttp2_submit_response(session_, stream.id_, fields.data(), count, nullptr));
  }
  changed();
}

void H2Connection::refuse(H2Stream& stream, std::string_view http_status) {
  if (stream.responded_) return;
  stream.responded_ = true;
  stream.finished_ = true;
  const nghttp2_nv status = field(":status", http_status, false);
  check(nghttp2_submit_response(session_, stream.id_, &status, 1, nullptr));
  changed();
}

void H2Connection::append_body(H2Stream& stream, std::size_t size_bytes) {
  WireMessage& to = out_->message;
  while (size_bytes > 0) {
    H2Stream::Part& part = stream.parts_[stream.first_part_];
    std::span<const std::byte> rest = std::as_bytes(std::span(part.text));
    if (part.outgoing) {
      const WireMessage& message = part.outgoing->message;
      rest = message.bytes(message.pieces()[part.piece]);
    }
    rest = rest.subspan(part.offset);
    const std::size_t count = std::min(rest.size(), size_bytes);
    if (part.outgoing && count > kCopyBytes) {
      to.append_view(rest.first(count));
      keep(part.outgoing);
    } else {
      to.text().append(reinterpret_cast<const char*>(rest.data()), count);
    }
    size_bytes -= count;
    stream.unsent_bytes_ -= count;
    part.offset += count;
    if (count < rest.size()) break;
    part.offset = 0;
    if (part.outgoing && ++part.piece < part.outgoing->message.pieces().size()) continue;
    part = {};
    if (++stream.first_part_ == stream.parts_.size()) {
      stream.parts_.clear();
      stream.first_part_ = 0;
    }
  }
}

void H2Connection::keep(const std::shared_ptr<const Outgoing>& outgoing) {
  if (owners_ == nullptr) {
    auto owners = std::make_shared<std::vector<std::shared_ptr<const Outgoing>>>();
    owners_ = owners.get();
    out_->owner = std::move(owners);
  }
  if (owners_->empty() || owners_->back() != outgoing) owners_->push_back(outgoing);
}

}  // namespace naiad
