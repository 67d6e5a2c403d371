#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/decode_limits.h"
#include "request/request.h"

namespace naiad {

// Where a tensor's parameters say that it lies in client shared memory. They come in any order.
struct SharedMemoryParameters {
  std::optional<std::string> region;
  std::optional<std::uint64_t> offset_bytes;
  std::optional<std::uint64_t> size_bytes;

  bool given() const { return region || offset_bytes || size_bytes; }
};

// Whether a tensor's parameter is one of those. Any thread.
bool is_shared_memory_parameter(std::string_view name);

// Takes one of them. kUnsupported without `regions`: client shared memory is off. Any thread.
Status set_shared_memory_parameter(std::string_view name, const ParameterValue& value,
                                   const SharedRegions* regions, SharedMemoryParameters& parameters);

// Copies an input of known dtype and shape from where `parameters` say to a block of `pool`: the one copy on
// its way, checked after it was made. Where it lies on a GPU, and the model reads it on one, it stays there:
// its values are of no concern to the host. Any thread.
Status read_shared_input(const SharedMemoryParameters& parameters, const DecodeLimits& limits,
                         std::string_view model_name, TensorPool& pool, GivenInput& input);

// Takes the place of an output; nothing when `parameters` were not given. Any thread.
Status lease_shared_output(const SharedMemoryParameters& parameters, const SharedRegions* regions,
                           WantedOutput& output);

}  // namespace naiad
