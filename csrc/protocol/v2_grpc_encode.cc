#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "protocol/output_form.h"
#include "protocol/proto_writer.h"
#include "protocol/v2_grpc.h"

namespace naiad {
namespace {

// Field numbers of grpc_service.proto.
namespace field {
enum Response : std::uint32_t { kModelName = 1, kModelVersion, kId, kParameters, kOutputs, kRawContents };
enum Output : std::uint32_t { kName = 1, kDatatype, kShape };
enum Parameter : std::uint32_t { kBool = 1, kInt64, kString, kDouble, kUint64 };
enum MapEntry : std::uint32_t { kKey = 1, kValue };
}  // namespace field

// gRPC's own limit of one message.
constexpr std::size_t kMaxMessageBytes = 2147483647;

void append_value(std::string& text, const ParameterValue& value) {
  std::visit(
      [&](const auto& plain) {
        using Value = std::decay_t<decltype(plain)>;
        if constexpr (std::is_same_v<Value, bool>) {
          append_varint_field(text, field::kBool, plain ? 1 : 0);
        } else if constexpr (std::is_same_v<Value, std::int64_t>) {
          append_varint_field(text, field::kInt64, static_cast<std::uint64_t>(plain));
        } else if constexpr (std::is_same_v<Value, std::uint64_t>) {
          append_varint_field(text, field::kUint64, plain);
        } else if constexpr (std::is_same_v<Value, double>) {
          append_double_field(text, field::kDouble, plain);
        } else {
          append_string_field(text, field::kString, plain);
        }
      },
      value);
}

void append_parameter(std::string& text, const Parameter& parameter) {
  std::string value;
  append_value(value, parameter.value);
  std::string entry;
  append_string_field(entry, field::kKey, parameter.name);
  append_string_field(entry, field::kValue, value);
  append_string_field(text, field::kParameters, entry);
}

void append_output(std::string& text, const OutputForm& form) {
  const std::string_view datatype = dtype_name(form.tensor.dtype);
  std::size_t shape_bytes = 0;
  for (const std::int64_t dim : form.tensor.shape)
    shape_bytes += varint_size(static_cast<std::uint64_t>(dim));
  const auto field_bytes = [](std::size_t size) { return 1 + varint_size(size) + size; };
  const std::size_t size_bytes = field_bytes(form.name.size()) + field_bytes(datatype.size()) +
                                 (shape_bytes == 0 ? 0 : field_bytes(shape_bytes));
  append_length_field(text, field::kOutputs, size_bytes);
  append_string_field(text, field::kName, form.name);
  append_string_field(text, field::kDatatype, datatype);
  if (shape_bytes == 0) return;
  append_length_field(text, field::kShape, shape_bytes);
  for (const std::int64_t dim : form.tensor.shape) append_varint(text, static_cast<std::uint64_t>(dim));
}

void append_contents(WireMessage& message, const OutputForm& form) {
  if (form.shared != nullptr) {
    // An empty entry: clients find an output's contents by its position.
    append_length_field(message.text(), field::kRawContents, 0);
    return;
  }
  append_length_field(message.text(), field::kRawContents, form.tensor.size_bytes);
  if (form.classes.empty()) {
    message.append_view(form.tensor.bytes());
  } else {
    message.text() += form.classes;  // they live no longer than the encoding: copied, unlike a tensor
  }
}

}  // namespace

Status encode_v2_grpc(const Request& request, const Response& response, WireMessage& message) {
  if (!response.status.ok()) return response.status;
  std::vector<OutputForm> forms;
  if (Status status = make_output_forms(request, response, forms); !status.ok()) return status;
  if (Status status = write_shared_outputs(forms); !status.ok()) return status;
  std::string& text = message.text();
  text.reserve(text.size() + 64 + request.spec->name.size() + request.id.size() + 64 * forms.size());
  append_string_field(text, field::kModelName, request.spec->name);
  append_string_field(text, field::kModelVersion, std::to_string(request.spec->version));
  if (!request.id.empty()) append_string_field(text, field::kId, request.id);
  for (const Parameter& parameter : response.parameters) append_parameter(text, parameter);
  for (const OutputForm& form : forms) append_output(text, form);
  for (const OutputForm& form : forms) append_contents(message, form);
  message.end_text();
  if (message.size_bytes() <= kMaxMessageBytes) return {};
  return {Code::kInvalidArgument, "Response has byte size " + std::to_string(message.size_bytes()) +
                                      " which exceeds gRPC's byte size limit " +
                                      std::to_string(kMaxMessageBytes) + "."};
}

}  // namespace naiad
