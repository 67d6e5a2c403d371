#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "../cpp/fakes/heap_pool.h"
#include "../cpp/fakes/shared_object.h"
#include "memory/shared_regions.h"
#include "protocol/json_reader.h"
#include "protocol/tensor_bytes.h"
#include "protocol/v2_grpc.h"
#include "protocol/v2_http.h"
#include "request/text_store.h"

namespace naiad::fuzz {

// Ends the process when a property does not hold: what a fuzzer reports as a crash.
inline void require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %s\n", property);
  std::abort();
}

inline BufferRef copy_of(std::span<const std::uint8_t> bytes) {
  BufferRef body = make_heap_buffer(bytes.size());
  if (!bytes.empty()) std::memcpy(body->data(), bytes.data(), bytes.size());
  return body;
}

// What requests are decoded with: small bounds, and client shared memory of 64 bytes under the name "r".
inline DecodeLimits decode_limits() {
  static SharedRegions regions;
  static const bool registered = [] {
    const test::SharedObject object(64);
    return regions.register_system("r", object.key(), 0, 64).ok();
  }();
  require(registered, "an object of the process itself can be registered");
  DecodeLimits limits;
  limits.max_tensor_bytes = 1UL << 20;
  limits.regions = &regions;
  return limits;
}

inline bool is_refusal(const Status& status) {
  return (status.code() == Code::kInvalidArgument || status.code() == Code::kUnsupported ||
          status.code() == Code::kUnavailable || status.code() == Code::kNotFound) &&
         !status.message().empty() && status.message().size() < 2000;
}

// What must be true of a request that a decoder accepted.
inline void check_accepted(const Request& request) {
  unsigned sum = 0;  // reads every byte, so that a sanitizer sees a view that leaves its owner
  for (const GivenInput& input : request.given_inputs) {
    require(input.tensor.present(), "an input has a datatype");
    require(check_tensor_bytes(input.name, "m", input.tensor).ok(), "an input's bytes match its shape");
    require(input.tensor.size_bytes == 0 || static_cast<bool>(input.tensor.owner),
            "an input's bytes have an owner");
    for (const std::byte byte : input.tensor.bytes()) sum += static_cast<unsigned>(byte);
    for (const char c : input.name) sum += static_cast<unsigned char>(c);
  }
  for (const WantedOutput& output : request.wanted_outputs) {
    for (const char c : output.name) sum += static_cast<unsigned char>(c);
  }
  static volatile unsigned sink;
  sink = sum;
  static_cast<void>(sink);
}

// A response that gives the request's inputs back as outputs of the same names.
inline Response echo(Request& request) {
  auto spec = std::make_shared<ModelSpec>();
  spec->name = "m";
  Response response;
  for (const GivenInput& input : request.given_inputs) {
    TensorSpec output;
    output.name = std::string(input.name);
    output.dtype = input.tensor.dtype;
    output.labels = {"zero", "one"};
    spec->outputs.push_back(std::move(output));
    response.outputs.push_back({spec->outputs.size() - 1, input.tensor});
  }
  response.parameters = request.parameters;
  request.spec = std::move(spec);
  return response;
}

inline std::string joined(const WireMessage& message) {
  std::string bytes;
  for (const WireMessage::Piece& piece : message.pieces()) {
    const auto view = message.bytes(piece);
    bytes.append(reinterpret_cast<const char*>(view.data()), view.size());
  }
  return bytes;
}

// Encodes the echo of an accepted request both ways; whatever is written as JSON must be JSON.
inline void encode_both(Request& request) {
  const Response response = echo(request);
  WireMessage http;
  V2HttpHead head;
  if (encode_v2_http(request, response, http, head).ok()) {
    const std::string bytes = joined(http);
    const std::size_t json_size = head.json_size_bytes.value_or(bytes.size());
    require(json_size <= bytes.size(), "the response's JSON lies in the response");
    TextStore unescaped;
    JsonReader reader(std::string_view(bytes).substr(0, json_size), 0, 100, unescaped);
    require(reader.skip_value(true) && reader.at_end(), "the response is JSON");
  }
  WireMessage grpc;
  const Status status = encode_v2_grpc(request, response, grpc);
  // The one fault that is not the backend's and still kInternal: the place that was asked for is too small.
  const bool is_shared = std::ranges::any_of(request.wanted_outputs,
                                             [](const WantedOutput& output) { return bool{output.shared}; });
  require(status.ok() || status.code() == Code::kInvalidArgument ||
              (is_shared && status.code() == Code::kInternal),
          "a response is encoded as protobuf");
}

}  // namespace naiad::fuzz
