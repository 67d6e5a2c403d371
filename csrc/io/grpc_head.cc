#include "io/grpc_head.h"

#include "io/h2_connection.h"
#include "protocol/grpc_wire.h"

namespace naiad {
namespace {

bool is_grpc_type(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!type.starts_with(kGrpc)) return false;
  type.remove_prefix(kGrpc.size());
  return type.empty() || type.front() == '+' || type.front() == ';';
}

}  // namespace

void GrpcHead::add(std::string_view name, std::string_view value) {
  num_bytes_ += name.size() + value.size() + H2Connection::kFieldBytes;
  if (too_large() || add_own(name, value)) return;
  if (name == "triton_grpc_error") strict_errors_ = value == "true";
  if (name == "traceparent") trace_parent_ = value;
  if (name == "tracestate") trace_state_ = value;
  if (name == kKeyNameField) return;  // a client cannot say who it is
  if (gate_.is_closed() && gate_.reads(name)) {
    secrets_.emplace_back(name, value);
    return;
  }
  if (is_inference() && !forward_.matches(name)) return;
  metadata_.emplace_back(name, value);
}

AccessGate::Verdict GrpcHead::check(ClientNetwork client) {
  if (!gate_.is_closed()) return {};
  std::vector<Http1Field> fields;
  for (const auto& [name, value] : secrets_) fields.push_back({name, value});
  AccessGate::Verdict verdict = gate_.check(asked(), fields, client);
  key_name_ = verdict.key_name;
  return verdict;
}

// Fields of HTTP/2 and gRPC themselves.
bool GrpcHead::add_own(std::string_view name, std::string_view value) {
  if (name == ":path") {
    path_ = value;
  } else if (name == ":method") {
    is_post_ = value == "POST";
  } else if (name == "content-type") {
    is_grpc_ = is_grpc_type(value);
  } else if (name == "grpc-encoding") {
    encoding_ = value;
  } else if (name == "grpc-timeout") {
    timeout_ns_ = parse_grpc_timeout(value);
    bad_timeout_ = !timeout_ns_;
  } else {
    return name.starts_with(':') || name.starts_with("grpc-") || name == "te";
  }
  return true;
}

}  // namespace naiad
