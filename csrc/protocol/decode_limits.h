#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "memory/shared_regions.h"

namespace naiad {

// What a message may ask for, before anything is allocated for it.
struct DecodeLimits {
  std::size_t max_tensor_bytes = 64UL << 20;  // a tensor that is given as JSON numbers, decoded
  std::size_t max_json_depth = 100;
  const SharedRegions* regions = nullptr;  // null: client shared memory is refused; outlives the decoding
  // Whether a model reads an input on a GPU, so that one that a client has there need not come to the host.
  // None: no model does. Any thread.
  std::function<bool(std::string_view model, std::string_view input)> reads_on_gpu{};
};

}  // namespace naiad
