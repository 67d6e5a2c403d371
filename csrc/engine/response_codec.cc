#include "engine/response_codec.h"

#include <bit>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

#include "request/model_spec.h"

namespace naiad {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr std::string_view kMagic = "NRC1";
constexpr std::size_t kMaxRank = std::numeric_limits<std::uint8_t>::max();

class Writer {
 public:
  template <typename Number>
    requires std::is_arithmetic_v<Number>
  void number(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void digest(const Digest128& value) {
    number(value.low);
    number(value.high);
  }
  void raw(std::string_view text) { bytes_.append(text); }
  void text(std::string_view text) {
    number(static_cast<std::uint32_t>(text.size()));
    raw(text);
  }
  std::string bytes_;
};

// Reads from the front; once something is missing, everything is.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}

  template <typename Number>
    requires std::is_arithmetic_v<Number>
  Number number() {
    Number value{};
    const std::string_view from = raw(sizeof value);
    if (from.size() == sizeof value) from.copy(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  Digest128 digest() {
    Digest128 value;
    value.low = number<std::uint64_t>();
    value.high = number<std::uint64_t>();
    return value;
  }
  std::string_view raw(std::uint64_t size) {
    if (size > left_.size()) {
      failed_ = true;
      left_ = {};
    }
    const std::string_view taken = left_.substr(0, static_cast<std::size_t>(failed_ ? 0 : size));
    left_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view text() { return raw(number<std::uint32_t>()); }
  bool failed() const { return failed_; }
  std::size_t left() const { return left_.size(); }

 private:
  std::string_view left_;
  bool failed_ = false;
};

Digest128 digest_of(std::string_view bytes, const SipHash128::Key& secret) {
  SipHash128 hash(secret);
  hash.update(bytes);
  return hash.digest();
}

void write(Writer& writer, const Tensor& tensor) {
  writer.number(static_cast<std::uint8_t>(tensor.dtype));
  writer.number(static_cast<std::uint8_t>(tensor.shape.rank()));
  for (const std::int64_t dim : tensor.shape.dims()) writer.number(dim);
  writer.number(static_cast<std::uint64_t>(tensor.size_bytes));
  writer.raw({reinterpret_cast<const char*>(tensor.data), tensor.size_bytes});
}

void write(Writer& writer, const Parameter& parameter) {
  writer.text(parameter.name);
  writer.number(static_cast<std::uint8_t>(parameter.value.index()));
  std::visit(
      [&](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string>) {
          writer.text(value);
        } else if constexpr (std::is_same_v<Value, bool>) {
          writer.number(static_cast<std::uint8_t>(value));
        } else {
          writer.number(value);
        }
      },
      parameter.value);
}

// Whether so many bytes are a tensor of that type and shape; of texts, whether their lengths add up.
bool is_whole(DataType dtype, const Shape& shape, std::string_view bytes) {
  if (dtype != DataType::kBytes) return shape.size_bytes(dtype) == bytes.size();
  Reader reader(bytes);
  const std::optional<std::size_t> count = shape.num_elements();
  if (!count) return false;
  for (std::size_t i = 0; i < *count && !reader.failed(); ++i) reader.text();
  return !reader.failed() && reader.left() == 0;
}

bool read(Reader& reader, const ModelSpec& model, OutputTensor& output) {
  output.index = reader.number<std::uint32_t>();
  const auto dtype = static_cast<DataType>(reader.number<std::uint8_t>());
  Shape shape;
  for (auto rank = reader.number<std::uint8_t>(); rank > 0; --rank) {
    shape.push_back(reader.number<std::int64_t>());
  }
  const std::string_view bytes = reader.raw(reader.number<std::uint64_t>());
  if (reader.failed() || output.index >= model.outputs.size()) return false;
  if (dtype != model.outputs[output.index].dtype || !is_whole(dtype, shape, bytes)) return false;
  BufferRef buffer = make_heap_buffer(bytes.size());
  if (!bytes.empty()) std::memcpy(buffer->data(), bytes.data(), bytes.size());
  output.tensor = {dtype, std::move(shape), buffer->data(), bytes.size(), std::move(buffer)};
  return true;
}

bool read(Reader& reader, Parameter& parameter) {
  parameter.name = reader.text();
  switch (reader.number<std::uint8_t>()) {
    case 0:
      parameter.value = reader.number<std::uint8_t>() != 0;
      break;
    case 1:
      parameter.value = reader.number<std::int64_t>();
      break;
    case 2:
      parameter.value = reader.number<std::uint64_t>();
      break;
    case 3:
      parameter.value = reader.number<double>();
      break;
    case 4:
      parameter.value = std::string(reader.text());
      break;
    default:
      return false;
  }
  return !reader.failed();
}

}  // namespace

std::string encode_response(const Response& response, const Digest128& key, const SipHash128::Key& secret) {
  Writer writer;
  writer.bytes_.reserve(response.size_bytes() + 512);
  writer.raw(kMagic);
  writer.number(std::uint64_t{0});  // the size, once it is known
  writer.digest(key);
  writer.number(static_cast<std::uint32_t>(response.outputs.size()));
  writer.number(static_cast<std::uint32_t>(response.parameters.size()));
  for (const OutputTensor& output : response.outputs) {
    if (output.tensor.shape.rank() > kMaxRank) return {};
    writer.number(static_cast<std::uint32_t>(output.index));
    write(writer, output.tensor);
  }
  for (const Parameter& parameter : response.parameters) write(writer, parameter);
  const std::uint64_t size = writer.bytes_.size() + sizeof(Digest128);
  std::memcpy(writer.bytes_.data() + kMagic.size(), &size, sizeof size);
  writer.digest(digest_of(writer.bytes_, secret));
  return std::move(writer.bytes_);
}

std::optional<Response> decode_response(std::string_view bytes, const Digest128& key,
                                        const SipHash128::Key& secret, const ModelSpec& model) {
  if (bytes.size() < sizeof(Digest128)) return std::nullopt;
  const std::string_view signed_part = bytes.substr(0, bytes.size() - sizeof(Digest128));
  if (Reader(bytes.substr(signed_part.size())).digest() != digest_of(signed_part, secret)) {
    return std::nullopt;
  }
  Reader reader(signed_part);
  if (reader.raw(kMagic.size()) != kMagic) return std::nullopt;
  if (reader.number<std::uint64_t>() != bytes.size() || reader.digest() != key) return std::nullopt;
  const auto num_outputs = reader.number<std::uint32_t>();
  const auto num_parameters = reader.number<std::uint32_t>();
  Response response;
  for (std::uint32_t i = 0; i < num_outputs; ++i) {
    if (!read(reader, model, response.outputs.emplace_back())) return std::nullopt;
  }
  for (std::uint32_t i = 0; i < num_parameters; ++i) {
    if (!read(reader, response.parameters.emplace_back())) return std::nullopt;
  }
  if (reader.failed() || reader.left() != 0) return std::nullopt;
  return response;
}

}  // namespace naiad
