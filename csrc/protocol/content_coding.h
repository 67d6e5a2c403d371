#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "memory/tensor_pool.h"
#include "protocol/wire_message.h"

namespace naiad {

// How the bytes of a body are coded. "deflate" is the zlib format, as RFC 9110, section 8.4.1.2 has it.
enum class ContentCoding : unsigned char { kIdentity, kGzip, kDeflate };

// What a request that is refused for its coding is told to use.
inline constexpr std::string_view kAcceptedCodings = "gzip, deflate";

// "gzip", "deflate", "identity". Any thread.
std::string_view content_coding_name(ContentCoding coding);

// Reads the value of Content-Encoding ("" where there is none). kUnsupported for another coding and for more
// than one. Any thread.
Status read_content_encoding(std::string_view value, ContentCoding& coding);

// The coding of Accept-Encoding with the highest weight, gzip before deflate. As Triton does, a coding that
// the client lists is used although identity would be allowed too. Any thread.
ContentCoding choose_content_coding(std::string_view accept_encoding);

// A body without its coding: the first `size_bytes` of a pool block.
struct PlainBody {
  BufferRef block;
  std::size_t size_bytes = 0;
  std::span<const std::byte> bytes() const { return {block->data(), size_bytes}; }
};

// Inflates a whole body into one block of `pool`, which grows as the bytes come and never beyond
// `max_bytes`, however little input promises more. kInvalidArgument for what is no valid `coding` data, is
// cut off, goes on behind its end, is larger than max_bytes, or (above 8 MiB) larger than 100 times the
// input; kUnavailable when the pool is exhausted. `coding` is not kIdentity. Throws std::bad_alloc. Any
// thread; long for large bodies.
Status inflate_body(std::span<const std::byte> body, ContentCoding coding, TensorPool& pool,
                    std::size_t max_bytes, PlainBody& plain);

// Appends the pieces of `message` in one, compressed. `coding` is not kIdentity. Throws std::bad_alloc. Any
// thread; long for large messages.
void deflate_message(const WireMessage& message, ContentCoding coding, std::string& text);

}  // namespace naiad
