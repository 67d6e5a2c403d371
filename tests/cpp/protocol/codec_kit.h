#pragma once

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fakes/heap_pool.h"
#include "protocol/v2_grpc.h"
#include "protocol/v2_http.h"

namespace naiad {

// A buffer that holds a copy of `text`.
inline BufferRef body_of(std::string_view text) {
  BufferRef body = make_heap_buffer(text.size());
  if (!text.empty()) std::memcpy(body->data(), text.data(), text.size());
  return body;
}

// One decoded request and the pool that its tensors lie in.
struct Decoded {
  std::unique_ptr<HeapPool> pool = std::make_unique<HeapPool>();
  std::unique_ptr<Request> request = std::make_unique<Request>();
  Status status;

  const GivenInput& input(std::size_t i = 0) const { return request->given_inputs.at(i); }
};

inline Decoded decode_http(std::string_view body, std::optional<std::size_t> header_length = std::nullopt,
                           const ModelSpec* spec = nullptr, const DecodeLimits& limits = {}) {
  Decoded decoded;
  decoded.request->model_name = "m";
  decoded.request->body = body_of(body);
  const BufferRef& owner = decoded.request->body;
  decoded.status = decode_v2_http({owner->data(), owner->size_bytes()}, header_length, spec, *decoded.pool,
                                  limits, *decoded.request);
  return decoded;
}

inline Decoded decode_grpc(std::string_view message, const DecodeLimits& limits = {}) {
  Decoded decoded;
  decoded.request->body = body_of(message);
  const BufferRef& owner = decoded.request->body;
  decoded.status =
      decode_v2_grpc({owner->data(), owner->size_bytes()}, *decoded.pool, limits, *decoded.request);
  return decoded;
}

// The elements of a fixed-size tensor.
template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> values(tensor.size_bytes / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.data, tensor.size_bytes);
  return values;
}

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// BYTES elements in wire form.
inline std::string wire_strings(const std::vector<std::string>& elements) {
  std::string wire;
  for (const std::string& element : elements) {
    const auto length = static_cast<std::uint32_t>(element.size());
    wire.append(reinterpret_cast<const char*>(&length), sizeof length);
    wire += element;
  }
  return wire;
}

// A model with one output per tensor, and a response that carries them.
struct Answer {
  std::shared_ptr<ModelSpec> spec = std::make_shared<ModelSpec>();
  std::unique_ptr<Request> request = std::make_unique<Request>();
  Response response;
  std::vector<std::unique_ptr<std::string>> storage;

  Answer() {
    spec->name = "m";
    request->spec = spec;
  }
  void add(const std::string& name, DataType dtype, Shape shape, std::string bytes) {
    TensorSpec output;
    output.name = name;
    output.dtype = dtype;
    spec->outputs.push_back(output);
    storage.push_back(std::make_unique<std::string>(std::move(bytes)));
    const auto view = std::as_bytes(std::span(*storage.back()));
    response.outputs.push_back(
        {spec->outputs.size() - 1, {dtype, std::move(shape), view.data(), view.size(), {}}});
  }
  void want(std::string_view name, std::optional<bool> binary = std::nullopt, std::uint32_t num_classes = 0) {
    request->wanted_outputs.push_back({name, num_classes, binary});
  }
};

struct Encoded {
  Status status;
  std::string bytes;
  V2HttpHead head;
};

inline std::string joined(const WireMessage& message) {
  std::string bytes;
  for (const WireMessage::Piece& piece : message.pieces()) bytes += text_of(message.bytes(piece));
  return bytes;
}

inline Encoded encode_http(const Answer& answer) {
  WireMessage message;
  Encoded encoded;
  encoded.status = encode_v2_http(*answer.request, answer.response, message, encoded.head);
  encoded.bytes = joined(message);
  return encoded;
}

inline Encoded encode_grpc(const Answer& answer) {
  WireMessage message;
  Encoded encoded;
  encoded.status = encode_v2_grpc(*answer.request, answer.response, message);
  encoded.bytes = joined(message);
  return encoded;
}

}  // namespace naiad
