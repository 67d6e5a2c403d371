#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "protocol/content_coding.h"

namespace naiad {
namespace {

constexpr std::size_t kMaxRatio = 100;
// Below this much output the ratio is not looked at: a tensor of zeros rightly shrinks by more than a
// hundred.
constexpr std::size_t kRatioFreeBytes = 8UL << 20;
// Input and output of one call to zlib, so that the bounds are looked at often.
constexpr std::size_t kStepBytes = 1UL << 20;
constexpr std::size_t kFirstBlockBytes = 64UL << 10;
// Of the block that gzip's own word about its size may make us take before anything is inflated.
constexpr std::size_t kTrustedRatio = 32;

std::string named(std::string_view before, ContentCoding coding, std::string_view after) {
  return std::string(before) + std::string(content_coding_name(coding)) + std::string(after);
}

class InflateStream {
 public:
  explicit InflateStream(ContentCoding coding) {
    if (inflateInit2(&stream_, MAX_WBITS | (coding == ContentCoding::kGzip ? 16 : 0)) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~InflateStream() { inflateEnd(&stream_); }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  z_stream& operator*() { return stream_; }
  z_stream* operator->() { return &stream_; }

 private:
  z_stream stream_{};
};

// The block that the output is written to.
class GrowingBlock {
 public:
  GrowingBlock(TensorPool& pool, std::size_t max_bytes) : pool_(pool), max_bytes_(max_bytes) {}

  // Makes room behind what is written: at least doubles, up to max_bytes. False when the pool is exhausted.
  bool grow(std::size_t wanted_bytes) {
    const std::size_t wanted = std::min(std::max(wanted_bytes, 2 * written_bytes_), max_bytes_);
    BufferRef larger = pool_.try_allocate(wanted);
    if (!larger) return false;
    if (written_bytes_ > 0) std::memcpy(larger->data(), block_->data(), written_bytes_);
    block_ = std::move(larger);
    return true;
  }
  std::size_t written_bytes() const { return written_bytes_; }
  std::size_t left_bytes() const { return block_->size_bytes() - written_bytes_; }
  Bytef* end() const { return reinterpret_cast<Bytef*>(block_->data() + written_bytes_); }
  void wrote(std::size_t size_bytes) { written_bytes_ += size_bytes; }
  BufferRef take() { return std::move(block_); }

 private:
  TensorPool& pool_;
  std::size_t max_bytes_;
  BufferRef block_;
  std::size_t written_bytes_ = 0;
};

// A first guess of the output's size. gzip ends with it, modulo 2^32 and for the last member only; it is
// believed as far as it costs little when it is a lie.
std::size_t guessed_bytes(std::span<const std::byte> body, ContentCoding coding) {
  constexpr std::size_t kTrailerBytes = 4;
  if (coding != ContentCoding::kGzip || body.size() < kTrailerBytes) {
    return std::max(kFirstBlockBytes, 4 * body.size());
  }
  std::size_t said = 0;
  for (std::size_t i = 0; i < kTrailerBytes; ++i) {
    said |= std::to_integer<std::size_t>(body[body.size() - kTrailerBytes + i]) << (8 * i);
  }
  // One byte more is where zlib learns that the stream ends.
  return std::min(said + 1, std::max(kFirstBlockBytes, kTrustedRatio * body.size()));
}

// One body on its way into one block.
class BodyInflater {
 public:
  BodyInflater(std::span<const std::byte> body, ContentCoding coding, TensorPool& pool, std::size_t max_bytes)
      : body_(body), coding_(coding), max_bytes_(max_bytes), stream_(coding), block_(pool, max_bytes) {}

  Status run(PlainBody& plain) {
    if (!block_.grow(guessed_bytes(body_, coding_))) return exhausted();
    for (;;) {
      bool has_ended = false;
      while (!has_ended) {
        Status status = step(has_ended);
        if (!status.ok()) return status;
      }
      if (read_bytes_ == body_.size()) break;
      // RFC 1952 lets several gzip members follow one another; anything else behind the end is a lie.
      if (coding_ != ContentCoding::kGzip) {
        return {Code::kInvalidArgument,
                named("request body goes on after the end of its ", coding_, " data")};
      }
      if (inflateReset(&*stream_) != Z_OK) return not_valid();
    }
    plain.size_bytes = block_.written_bytes();
    plain.block = block_.take();
    return {};
  }

 private:
  // One call to zlib. Sets `has_ended` at the end of the stream (or gzip member).
  Status step(bool& has_ended) {
    if (block_.left_bytes() == 0 && block_.written_bytes() < max_bytes_ &&
        !block_.grow(2 * block_.written_bytes())) {
      return exhausted();
    }
    // With the block at its limit, one byte elsewhere shows whether there would be more.
    Bytef beyond = 0;
    const bool is_full = block_.left_bytes() == 0;
    const std::size_t room = is_full ? 1 : std::min(block_.left_bytes(), kStepBytes);
    const std::size_t given = std::min(body_.size() - read_bytes_, kStepBytes);
    // zlib takes its input through a pointer to what it never changes.
    stream_->next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(body_.data() + read_bytes_));
    stream_->avail_in = static_cast<uInt>(given);
    stream_->next_out = is_full ? &beyond : block_.end();
    stream_->avail_out = static_cast<uInt>(room);
    const int outcome = inflate(&*stream_, Z_NO_FLUSH);
    const std::size_t wrote = room - stream_->avail_out;
    const std::size_t read = given - stream_->avail_in;
    read_bytes_ += read;
    if (outcome != Z_OK && outcome != Z_STREAM_END && outcome != Z_BUF_ERROR) return not_valid();
    if (is_full && wrote > 0) return too_large();
    block_.wrote(wrote);
    const std::size_t total = block_.written_bytes();
    if (total > kRatioFreeBytes && total / kMaxRatio >= body_.size() && total > kMaxRatio * body_.size()) {
      return {Code::kInvalidArgument, "request body of " + std::to_string(body_.size()) +
                                          " bytes inflates to more than " + std::to_string(kMaxRatio) +
                                          " times its size"};
    }
    has_ended = outcome == Z_STREAM_END;
    if (!has_ended && wrote == 0 && read_bytes_ == body_.size()) {
      return {Code::kInvalidArgument, named("request body is cut off: its ", coding_, " data does not end")};
    }
    return {};
  }

  Status not_valid() const {
    return {Code::kInvalidArgument, named("request body is not valid ", coding_, " data")};
  }
  Status too_large() const {
    return {Code::kInvalidArgument, "inflated request body exceeds the maximum allowed input size of " +
                                        std::to_string(max_bytes_) +
                                        " bytes. Use --http-max-input-size to increase the limit."};
  }
  Status exhausted() const {
    return {Code::kUnavailable, named("tensor memory is exhausted: no room to inflate a ", coding_, " body")};
  }

  std::span<const std::byte> body_;
  ContentCoding coding_;
  std::size_t max_bytes_;
  InflateStream stream_;
  GrowingBlock block_;
  std::size_t read_bytes_ = 0;
};

}  // namespace

Status inflate_body(std::span<const std::byte> body, ContentCoding coding, TensorPool& pool,
                    std::size_t max_bytes, PlainBody& plain) {
  return BodyInflater(body, coding, pool, max_bytes).run(plain);
}

}  // namespace naiad
