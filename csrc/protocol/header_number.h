#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "protocol/http1.h"

namespace naiad {

inline constexpr std::string_view kInferenceHeaderLength = "Inference-Header-Content-Length";

// A number of a header: 1 to 18 decimal digits and nothing else (so it always fits). Any thread.
std::optional<std::uint64_t> parse_header_number(std::string_view text);

// Reads Inference-Header-Content-Length: empty when it was not sent. kInvalidArgument when it was sent twice,
// is no number, or is more than `body_size_bytes` (of the body without its content coding). Any thread.
Status read_inference_header_length(const Http1Head& head, std::size_t body_size_bytes,
                                    std::optional<std::size_t>& length);

}  // namespace naiad
