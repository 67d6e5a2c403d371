#include "engine/response_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "execute/worker_wire.h"
#include "ipc/message.h"
#include "request/model_spec.h"

namespace naiad {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::string_view kMagic = "NRC1";
constexpr std::size_t kMaxRank = std::numeric_limits<std::uint8_t>::max();

Digest128 read_digest(MessageReader& reader) {
  Digest128 value;
  value.low = reader.get<std::uint64_t>();
  value.high = reader.get<std::uint64_t>();
  return value;
}

void append(std::string& to, std::span<const std::byte> bytes) {
  to.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void append(std::string& to, const Digest128& digest) {
  MessageWriter message;
  message.put(digest.low);
  message.put(digest.high);
  append(to, message.bytes());
}

Digest128 digest_of(std::string_view bytes, const SipHash128::Key& secret) {
  SipHash128 hash(secret);
  hash.update(bytes);
  return hash.digest();
}

// Throws Error unless so many bytes are a tensor of that type and shape; of texts, unless their lengths add
// up.
void check_whole(DataType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  if (dtype != DataType::kBytes) {
    if (shape.size_bytes(dtype) != bytes.size()) MessageReader::malformed();
    return;
  }
  MessageReader texts(bytes);
  const std::optional<std::size_t> count = shape.num_elements();
  if (!count) MessageReader::malformed();
  for (std::size_t i = 0; i < *count; ++i) texts.get_text();
  if (!texts.at_end()) MessageReader::malformed();
}

OutputTensor read_output(MessageReader& reader, const ModelSpec& model) {
  OutputTensor output;
  output.index = reader.get<std::uint32_t>();
  const auto dtype = static_cast<DataType>(reader.get<std::uint8_t>());
  Shape shape;
  for (auto rank = reader.get<std::uint8_t>(); rank > 0; --rank) shape.push_back(reader.get<std::int64_t>());
  const std::span<const std::byte> bytes = reader.get_bytes(reader.get<std::uint64_t>());
  if (output.index >= model.outputs.size() || dtype != model.outputs[output.index].dtype) {
    MessageReader::malformed();
  }
  check_whole(dtype, shape, bytes);
  BufferRef buffer = make_heap_buffer(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer->data(), bytes.data(), bytes.size());
  output.tensor = {dtype, std::move(shape), buffer->data(), bytes.size(), std::move(buffer)};
  return output;
}

// Throws Error for what is no entry.
Response read_entry(MessageReader& reader, std::uint64_t size, const Digest128& key, const ModelSpec& model) {
  if (!std::ranges::equal(reader.get_bytes(kMagic.size()), std::as_bytes(std::span(kMagic)))) {
    MessageReader::malformed();
  }
  if (reader.get<std::uint64_t>() != size || read_digest(reader) != key) MessageReader::malformed();
  Response response;
  response.parameters = read_parameters(reader);
  for (auto left = reader.get<std::uint32_t>(); left > 0; --left) {
    response.outputs.push_back(read_output(reader, model));
  }
  if (!reader.at_end()) MessageReader::malformed();
  return response;
}

}  // namespace

std::string encode_response(const Response& response, const Digest128& key, const SipHash128::Key& secret) {
  std::string entry;
  entry.reserve(response.size_bytes() + 512);
  entry = kMagic;
  MessageWriter message;
  message.put(std::uint64_t{0});  // the size, once it is known
  append(entry, message.bytes());
  append(entry, key);
  message.clear();
  write_parameters(message, response.parameters);
  message.put(static_cast<std::uint32_t>(response.outputs.size()));
  for (const OutputTensor& output : response.outputs) {
    const Tensor& tensor = output.tensor;
    if (tensor.shape.rank() > kMaxRank) return {};
    message.put(static_cast<std::uint32_t>(output.index));
    message.put(static_cast<std::uint8_t>(tensor.dtype));
    message.put(static_cast<std::uint8_t>(tensor.shape.rank()));
    for (const std::int64_t dim : tensor.shape.dims()) message.put(dim);
    message.put(static_cast<std::uint64_t>(tensor.size_bytes));
    append(entry, message.bytes());
    append(entry, tensor.bytes());
    message.clear();
  }
  append(entry, message.bytes());
  const std::uint64_t size = entry.size() + sizeof(Digest128);
  std::memcpy(entry.data() + kMagic.size(), &size, sizeof size);
  append(entry, digest_of(entry, secret));
  return entry;
}

std::optional<Response> decode_response(std::string_view bytes, const Digest128& key,
                                        const SipHash128::Key& secret, const ModelSpec& model) {
  if (bytes.size() < sizeof(Digest128)) return std::nullopt;
  const std::string_view signed_part = bytes.substr(0, bytes.size() - sizeof(Digest128));
  try {
    MessageReader mark(std::as_bytes(std::span(bytes.substr(signed_part.size()))));
    if (read_digest(mark) != digest_of(signed_part, secret)) return std::nullopt;
    MessageReader reader(std::as_bytes(std::span(signed_part)));
    return read_entry(reader, bytes.size(), key, model);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace naiad
