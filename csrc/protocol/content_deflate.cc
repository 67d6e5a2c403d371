#include <zlib.h>

#include <algorithm>
#include <new>

#include "protocol/content_coding.h"

namespace naiad {
namespace {

// The fastest: an answer is compressed once, while its reader waits.
constexpr int kLevel = 1;
constexpr int kMemoryLevel = 8;                  // zlib's default
constexpr std::size_t kStepBytes = 256UL << 20;  // zlib counts in 32 bits

class DeflateStream {
 public:
  explicit DeflateStream(ContentCoding coding) {
    const int window_bits = MAX_WBITS | (coding == ContentCoding::kGzip ? 16 : 0);
    if (deflateInit2(&stream_, kLevel, Z_DEFLATED, window_bits, kMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~DeflateStream() { deflateEnd(&stream_); }
  DeflateStream(const DeflateStream&) = delete;
  DeflateStream& operator=(const DeflateStream&) = delete;

  // Writes what comes of `input` behind `text`, all that is left of it with Z_FINISH.
  void write(std::span<const std::byte> input, int flush, std::string& text) {
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    do {
      Bytef out[16 << 10];
      stream_.next_out = out;
      stream_.avail_out = sizeof out;
      // Cannot fail: the stream is valid, and there is always room.
      deflate(&stream_, flush);
      text.append(reinterpret_cast<const char*>(out), sizeof out - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

 private:
  z_stream stream_{};
};

}  // namespace

void deflate_message(const WireMessage& message, ContentCoding coding, std::string& text) {
  DeflateStream stream(coding);
  for (const WireMessage::Piece& piece : message.pieces()) {
    std::span<const std::byte> rest = message.bytes(piece);
    while (!rest.empty()) {
      const std::span<const std::byte> now = rest.first(std::min(rest.size(), kStepBytes));
      stream.write(now, Z_NO_FLUSH, text);
      rest = rest.subspan(now.size());
    }
  }
  stream.write({}, Z_FINISH, text);
}

}  // namespace naiad
