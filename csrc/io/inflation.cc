#include "io/inflation.h"

#include <algorithm>
#include <memory>
#include <new>
#include <utility>

namespace naiad {
namespace {

// A change of threads costs as much as inflating this much.
constexpr std::size_t kShortBytes = 4UL << 10;
// Few bytes can stand for many: those that become more than this are inflated once more, on the thread.
constexpr std::size_t kShortPlainBytes = 32UL << 10;

Status inflate(std::span<const std::byte> message, ContentCoding coding, TensorPool& pool,
               std::size_t max_bytes, PlainBody& plain) {
  try {
    return inflate_body(message, coding, pool, max_bytes, plain);
  } catch (const std::bad_alloc&) {
    return {Code::kUnavailable, "there is no memory to decompress a message"};
  }
}

}  // namespace

void Inflation::begin(std::span<const std::byte> message, BufferRef owner, ContentCoding coding, Done done) {
  PlainBody plain;
  if (message.size() <= kShortBytes) {
    const Status status = inflate(message, coding, pool_, std::min(kShortPlainBytes, max_bytes_), plain);
    if (status.ok()) return done(status, std::move(plain));
  }
  struct Result {
    Status status;
    PlainBody plain;
  };
  const auto result = std::make_shared<Result>();
  job_ = thread_.run(
      [result, message, owner = std::move(owner), coding, &pool = pool_, max_bytes = max_bytes_] {
        result->status = inflate(message, coding, pool, max_bytes, result->plain);
      },
      [result, done = std::move(done)] { done(result->status, std::move(result->plain)); });
}

}  // namespace naiad
