#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/error.h"
#include "io/coding_thread.h"
#include "memory/buffer.h"
#include "memory/tensor_pool.h"
#include "protocol/content_coding.h"

namespace naiad {

// Takes the coding off the messages of one connection or call, one at a time: a short one at once, a long one
// on the coding thread. I/O thread.
class Inflation {
 public:
  using Done = std::function<void(const Status& status, PlainBody plain)>;

  // Refuses what is larger than `max_bytes` without its coding, see inflate_body().
  Inflation(CodingThread& thread, TensorPool& pool, std::size_t max_bytes)
      : thread_(thread), pool_(pool), max_bytes_(max_bytes) {}

  // Inflates `message`, whose bytes `owner` keeps. Calls `done` before it returns, or later, when neither
  // cancel() nor the end of this comes before.
  void begin(std::span<const std::byte> message, BufferRef owner, ContentCoding coding, Done done);
  bool under_way() const { return job_.under_way(); }
  void cancel() { job_.cancel(); }

 private:
  CodingThread& thread_;
  TensorPool& pool_;
  const std::size_t max_bytes_;
  CodingThread::Job job_;
};

}  // namespace naiad
