#include "io/http_body.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/tensor_place.h"

namespace naiad {
namespace {

// Up to here a body is awaited behind its head, in the block that the stream receives into; above, the copy
// of what came with the head is cheaper than growing that block.
constexpr std::size_t kInPlaceBytes = 16 << 10;
// First block of a chunked body.
constexpr std::size_t kFirstBlockBytes = 16 << 10;

}  // namespace

void HttpBody::announce(const Http1Head& head) {
  framing_ = head.framing;
  shift_ = aligning_shift(first_tensor_offset(head));
  size_bytes_ = left_bytes_ = framing_ == BodyFraming::kLength ? head.content_length : 0;
  if (framing_ == BodyFraming::kChunked) chunks_.emplace(Http1Limits{});
  whole_ = !chunks_ && size_bytes_ == 0;
}

HttpBody::Progress HttpBody::begin(Stream& stream) {
  if (whole_) return Progress::kWhole;
  if (!chunks_) {
    if (size_bytes_ > max_bytes_) return Progress::kTooLarge;
    share_ = budget_.try_take(size_bytes_);
    if (!share_) return Progress::kNoBudget;
  }
  return receive(stream);
}

HttpBody::Progress HttpBody::receive(Stream& stream) {
  return chunks_ ? receive_chunks(stream) : receive_length(stream);
}

HttpBody::Progress HttpBody::receive_length(Stream& stream) {
  if (receiving_) {
    if (stream.receiving()) return Progress::kMore;
    receiving_ = false;
    bytes_ = {owner_->data() + shift_, size_bytes_};
    return finish();
  }
  const auto input = stream.input();
  if (input.size() >= size_bytes_) {
    owner_ = stream.input_owner();
    bytes_ = input.first(size_bytes_);
    stream.consume(size_bytes_);
    return finish();
  }
  if (size_bytes_ <= kInPlaceBytes) return Progress::kMore;
  owner_ = pool_.try_allocate(shift_ + size_bytes_);
  if (!owner_) return Progress::kNoMemory;
  receiving_ = true;
  stream.receive_into(owner_, shift_);
  return Progress::kMore;
}

HttpBody::Progress HttpBody::receive_chunks(Stream& stream) {
  while (true) {
    const ChunkedReader::Step step = chunks_->step(stream.input());
    if (step.outcome != Http1Outcome::kIncomplete && step.outcome != Http1Outcome::kComplete) {
      return Progress::kMalformed;
    }
    const Progress progress = gather(step.data);
    stream.consume(step.consumed_bytes);
    if (progress != Progress::kMore) return progress;
    if (step.outcome == Http1Outcome::kComplete) {
      if (size_bytes_ > 0) bytes_ = {owner_->data(), size_bytes_};
      return finish();
    }
    if (step.consumed_bytes == 0) return Progress::kMore;
  }
}

HttpBody::Progress HttpBody::gather(std::span<const std::byte> data) {
  if (data.empty()) return Progress::kMore;
  const std::size_t needed = size_bytes_ + data.size();
  if (needed > max_bytes_) {
    size_bytes_ = needed;
    return Progress::kTooLarge;
  }
  if (!owner_ || needed > owner_->size_bytes()) {
    const std::size_t doubled = owner_ ? 2 * owner_->size_bytes() : kFirstBlockBytes;
    const std::size_t capacity = std::min(std::max(doubled, needed), max_bytes_);
    // Both blocks are there while the bytes move.
    Budget::Share share = budget_.try_take(capacity);
    if (!share) return Progress::kNoBudget;
    BufferRef block = pool_.try_allocate(capacity);
    if (!block) return Progress::kNoMemory;
    if (size_bytes_ > 0) std::memcpy(block->data(), owner_->data(), size_bytes_);
    owner_ = std::move(block);
    share_ = std::move(share);
  }
  std::memcpy(owner_->data() + size_bytes_, data.data(), data.size());
  size_bytes_ = needed;
  return Progress::kMore;
}

HttpBody::Progress HttpBody::finish() {
  whole_ = true;
  return Progress::kWhole;
}

HttpBody::Progress HttpBody::skip(Stream& stream) {
  if (whole_) return Progress::kWhole;
  if (!chunks_) {
    const std::size_t passed = std::min(stream.input().size(), left_bytes_);
    stream.consume(passed);
    left_bytes_ -= passed;
    return left_bytes_ == 0 ? finish() : Progress::kMore;
  }
  while (true) {
    const ChunkedReader::Step step = chunks_->step(stream.input());
    stream.consume(step.consumed_bytes);
    size_bytes_ += step.data.size();
    if (step.outcome == Http1Outcome::kComplete) return finish();
    if (step.outcome != Http1Outcome::kIncomplete) return Progress::kMalformed;
    if (size_bytes_ > 2 * max_bytes_) return Progress::kTooLarge;
    if (step.consumed_bytes == 0) return Progress::kMore;
  }
}

Status HttpBody::replace(PlainBody plain) {
  Budget::Share share = budget_.try_take(plain.size_bytes);
  if (!share) return {Code::kUnavailable, std::string(kBudgetSpent)};
  share_ = std::move(share);
  bytes_ = plain.bytes();
  owner_ = std::move(plain.block);
  return {};
}

void HttpBody::reset() {
  share_ = {};
  chunks_.reset();
  receiving_ = false;
  bytes_ = {};
  owner_ = {};
}

}  // namespace naiad
