#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace naiad {

// How much of a request's answer is on its way to the reader, so that a model which responds faster than its
// client reads waits for it. Shared by who responds and by the way home. Any thread.
class ResponseWindow {
 public:
  static constexpr std::size_t kMaxResponses = 256;
  static constexpr std::size_t kMaxBytes = std::size_t{4} << 20;

  // A response is on its way. Never blocks.
  void sent(std::size_t size_bytes);
  // One has been taken by the reader. Never blocks.
  void taken(std::size_t size_bytes);
  // Blocks until there is room for another one, or `cancelled` is set (seen after some 10 ms).
  void wait(const std::atomic<bool>& cancelled);

 private:
  bool full() const { return num_responses_ >= kMaxResponses || num_bytes_ >= kMaxBytes; }

  std::mutex mutex_;
  std::condition_variable room_;
  std::size_t num_responses_ = 0;
  std::size_t num_bytes_ = 0;
};

}  // namespace naiad
