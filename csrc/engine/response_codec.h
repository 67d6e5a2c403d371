#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/sip_hash.h"
#include "request/request.h"

namespace naiad {

// An answer as bytes, for a store beyond this process. Little-endian numbers:
//
//   "NRC1"  u64 size of all  Digest128 of the key
//   u32 number of parameters:  u32 size  name  u8 kind  value: u8 (bool), 8 bytes (i64, u64, f64), or u32
//   size
//                              and text
//   u32 number of outputs:     u32 position  u8 data type  u8 rank  rank x i64 dims  u64 size  bytes
//   Digest128 of all of that, under the key of the store's hashes
//
// so that what is cut, changed, kept under another key or made by somebody without the secret is no entry.
// Any thread.
std::string encode_response(const Response& response, const Digest128& key, const SipHash128::Key& secret);

// The answer, in memory of its own; empty when the bytes are no entry for the key, or none of this model.
std::optional<Response> decode_response(std::string_view bytes, const Digest128& key,
                                        const SipHash128::Key& secret, const ModelSpec& model);

}  // namespace naiad
