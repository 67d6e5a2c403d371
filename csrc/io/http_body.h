#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "io/budget.h"
#include "io/stream.h"
#include "memory/buffer.h"
#include "memory/tensor_pool.h"
#include "protocol/content_coding.h"
#include "protocol/http1.h"

namespace naiad {

inline constexpr std::string_view kBudgetSpent = "requests in flight hold too many bytes, try again later";
inline constexpr std::string_view kMemoryExhausted = "tensor memory is exhausted";

// Receives the body of one HTTP/1.1 request within bounds, so that it is copied as little as its framing
// allows: a small one is used where it was received, a large one is received straight into a block of its
// own, a chunked one is gathered in a growing block. I/O thread.
class HttpBody {
 public:
  enum class Progress : unsigned char {
    kMore,       // has to be received
    kWhole,      // bytes() is all of it; or, of a skipped one, it has passed by
    kMalformed,  // where the next request begins is not known
    kTooLarge,   // size_bytes() is more than the bound
    kNoBudget,
    kNoMemory,
  };

  HttpBody(TensorPool& pool, Budget& budget, std::size_t max_bytes)
      : pool_(pool), budget_(budget), max_bytes_(max_bytes) {}

  // Notes what the head says; nothing is taken yet.
  void announce(const Http1Head& head);
  // Starts on the body that follows the head, which has been consumed.
  Progress begin(Stream& stream);
  // Goes on with what the stream has received.
  Progress receive(Stream& stream);
  // Goes on, dropping what comes: instead of begin(), or after any failure but kMalformed.
  Progress skip(Stream& stream);
  // Whether all of it has come.
  bool whole() const { return whole_; }
  // Whether skipping the rest is cheaper than a new connection.
  bool worth_skipping() const { return framing_ != BodyFraming::kLength || left_bytes_ <= 2 * max_bytes_; }

  std::span<const std::byte> bytes() const { return bytes_; }
  // Keeps bytes() alive; empty when there are none.
  const BufferRef& owner() const { return owner_; }
  // As it came: announced, or received so far.
  std::size_t size_bytes() const { return size_bytes_; }
  // bytes() are from now on these, of a whole body without its content coding. Refused when they are too much
  // for the budget.
  Status replace(PlainBody plain);
  // Lets go of bytes and budget.
  void reset();

 private:
  Progress finish();
  Progress receive_length(Stream& stream);
  Progress receive_chunks(Stream& stream);
  Progress gather(std::span<const std::byte> data);

  TensorPool& pool_;
  Budget& budget_;
  const std::size_t max_bytes_;
  Budget::Share share_;
  BodyFraming framing_ = BodyFraming::kNone;
  std::size_t size_bytes_ = 0;
  std::size_t left_bytes_ = 0;  // kLength, while skipping
  std::optional<ChunkedReader> chunks_;
  bool whole_ = false;
  bool receiving_ = false;  // straight into owner_
  std::size_t shift_ = 0;  // where in a block of its own the body begins, so that its first tensor is aligned
  BufferRef owner_;
  std::span<const std::byte> bytes_;
};

}  // namespace naiad
