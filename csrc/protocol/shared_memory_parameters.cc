#include "protocol/shared_memory_parameters.h"

#include <utility>

#include "base/quoted.h"
#include "protocol/tensor_bytes.h"

namespace naiad {
namespace {

constexpr std::string_view kRegion = "shared_memory_region";
constexpr std::string_view kOffset = "shared_memory_offset";
constexpr std::string_view kSize = "shared_memory_byte_size";

Status invalid(std::string message) {
  return {Code::kInvalidArgument, std::move(message)};
}

Status set_size(std::string_view name, const ParameterValue& value, std::optional<std::uint64_t>& size) {
  if (const auto* number = std::get_if<std::int64_t>(&value); number != nullptr && *number >= 0) {
    size = static_cast<std::uint64_t>(*number);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    size = *natural;
  } else {
    return invalid("Unable to parse '" + std::string(name) + "': expected an integer that is not negative");
  }
  return {};
}

Status lease(const SharedMemoryParameters& parameters, const SharedRegions& regions,
             std::string_view tensor_name, SharedWindow& window) {
  const auto missing = [&](std::string_view what, std::string_view with) {
    return invalid("'" + std::string(what) + "' must be specified along with '" + std::string(with) +
                   "' parameter for tensor " + quoted(tensor_name));
  };
  if (!parameters.region) return missing(kRegion, parameters.size_bytes ? kSize : kOffset);
  if (!parameters.size_bytes) return missing(kSize, kRegion);
  return regions.lease(*parameters.region, parameters.offset_bytes.value_or(0), *parameters.size_bytes,
                       window);
}

}  // namespace

bool is_shared_memory_parameter(std::string_view name) {
  return name == kRegion || name == kOffset || name == kSize;
}

Status set_shared_memory_parameter(std::string_view name, const ParameterValue& value,
                                   const SharedRegions* regions, SharedMemoryParameters& parameters) {
  if (regions == nullptr) {
    return {Code::kUnsupported,
            "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable."};
  }
  if (name == kOffset) return set_size(name, value, parameters.offset_bytes);
  if (name == kSize) return set_size(name, value, parameters.size_bytes);
  const auto* region = std::get_if<std::string>(&value);
  if (region == nullptr) return invalid("Unable to parse '" + std::string(name) + "': expected a string");
  parameters.region = *region;
  return {};
}

Status read_shared_input(const SharedMemoryParameters& parameters, const DecodeLimits& limits,
                         std::string_view model_name, TensorPool& pool, GivenInput& input) {
  SharedWindow window;
  if (Status status = lease(parameters, *limits.regions, input.name, window); !status.ok()) return status;
  Tensor& tensor = input.tensor;
  tensor.size_bytes = window.size_bytes();
  // What has a fixed size is checked before there is a block for it, BYTES are walked where they cannot
  // change.
  if (tensor.dtype != DataType::kBytes) {
    Status status = check_tensor_bytes(input.name, model_name, tensor);
    if (!status.ok()) return status;
    if (window.is_on_gpu() && limits.reads_on_gpu && limits.reads_on_gpu(model_name, input.name)) {
      tensor.owner = window.on_gpu();
      tensor.data = tensor.owner->data();
      return {};
    }
  }
  tensor.owner = pool.try_allocate(tensor.size_bytes);
  if (!tensor.owner) return {Code::kUnavailable, "tensor memory is exhausted"};
  tensor.data = tensor.owner->data();
  Status status = window.read({tensor.owner->data(), tensor.size_bytes});
  if (!status.ok() || tensor.dtype != DataType::kBytes) return status;
  return check_tensor_bytes(input.name, model_name, tensor);
}

Status lease_shared_output(const SharedMemoryParameters& parameters, const SharedRegions* regions,
                           WantedOutput& output) {
  if (!parameters.given()) return {};
  if (output.num_classes != 0 || output.binary.value_or(false)) {
    return invalid("output " + quoted(output.name) + " asks for shared memory and for " +
                   (output.num_classes != 0 ? "'classification'" : "'binary_data'"));
  }
  Status status = lease(parameters, *regions, output.name, output.shared);
  // It is written to the region from wherever it was made.
  output.stays_on_gpu = output.shared.is_on_gpu();
  return status;
}

}  // namespace naiad
