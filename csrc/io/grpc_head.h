#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "io/access_gate.h"
#include "io/bridge.h"
#include "protocol/header_forward.h"

namespace naiad {

// The head of a gRPC request, collected field by field. Metadata is kept for methods that Python handles; for
// inference what is forwarded to the model.
class GrpcHead {
 public:
  // `forward` and `gate` outlive it.
  GrpcHead(std::size_t max_bytes, const HeaderForward& forward, const AccessGate& gate)
      : max_bytes_(max_bytes), forward_(forward), gate_(gate) {}

  void add(std::string_view name, std::string_view value);

  const std::string& path() const { return path_; }
  bool is_post() const { return is_post_; }
  // Whether the content type is application/grpc, with or without a message format.
  bool is_grpc() const { return is_grpc_; }
  bool too_large() const { return num_bytes_ > max_bytes_; }
  const std::string& encoding() const { return encoding_; }
  bool bad_timeout() const { return bad_timeout_; }
  // From the arrival of the request.
  std::optional<std::uint64_t> timeout_ns() const { return timeout_ns_; }
  // triton_grpc_error: true
  bool strict_errors() const { return strict_errors_; }

  // Of inference: where it stands in a trace of the client's.
  const std::string& trace_parent() const { return trace_parent_; }
  const std::string& trace_state() const { return trace_state_; }

  bool is_model_infer() const { return path_ == "/inference.GRPCInferenceService/ModelInfer"; }
  bool is_model_stream_infer() const { return path_ == "/inference.GRPCInferenceService/ModelStreamInfer"; }

  // What the call asks for.
  Asked asked() const { return is_inference() ? kAskedToInfer : gate_.asked(path_, "POST"); }
  // Whether who calls may; notes the name of the key.
  AccessGate::Verdict check(ClientNetwork client);
  const std::string& key_name() const { return key_name_; }

  bool is_inference() const { return is_model_infer() || is_model_stream_infer(); }

  // What the client's application sent along; binary values as they are on the wire (base64).
  ControlCall::Metadata take_metadata() { return std::move(metadata_); }

 private:
  bool add_own(std::string_view name, std::string_view value);

  const std::size_t max_bytes_;
  const HeaderForward& forward_;
  const AccessGate& gate_;
  std::size_t num_bytes_ = 0;
  std::string path_;
  std::string encoding_;
  bool is_post_ = false;
  bool is_grpc_ = false;
  bool bad_timeout_ = false;
  bool strict_errors_ = false;
  std::optional<std::uint64_t> timeout_ns_;
  std::string trace_parent_;
  std::string trace_state_;
  ControlCall::Metadata metadata_;
  ControlCall::Metadata secrets_;  // what the gate reads
  std::string key_name_;
};

}  // namespace naiad
