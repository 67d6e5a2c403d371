#pragma once

#include <string>

#include "codec_target.h"
#include "protocol/grpc_wire.h"

namespace naiad::fuzz {

// The first byte chooses: a grpc-timeout, a grpc-message, or a stream of length-prefixed messages.
inline int run_grpc_wire(std::span<const std::uint8_t> input) {
  if (input.empty()) return 0;
  const auto rest = input.subspan(1);
  const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
  if (input[0] % 3 == 0) {
    const auto timeout_ns = parse_grpc_timeout(text);
    require(!timeout_ns || (text.size() >= 2 && text.size() <= 9),
            "a timeout has one to eight digits and a unit");
  } else if (input[0] % 3 == 1) {
    const std::string encoded = encode_grpc_message(text, 100);
    require(encoded.size() <= 100, "a message keeps to its limit");
    for (const char c : encoded) require(c >= 0x20 && c <= 0x7E, "an encoded message is printable ASCII");
  } else {
    GrpcPrefixReader reader;
    for (auto bytes = std::as_bytes(rest); !bytes.empty();) {
      const bool complete = reader.take(bytes);
      require(complete || bytes.empty(), "a prefix takes all there is until it is complete");
      if (!complete) break;
      bytes = bytes.subspan(std::min<std::size_t>(bytes.size(), reader.size_bytes()));
      reader.reset();
    }
  }
  return 0;
}

}  // namespace naiad::fuzz
