#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

namespace naiad {

struct Request;

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
  // Whether there is no room for another one now.
  bool is_full();
  // What is called by taken() when there is room, besides waking who waits. Set before the first response.
  void on_room(std::function<void()> told) { told_ = std::move(told); }
  // Blocks until there is room for another one, or the request is cancelled (seen after some 10 ms).
  void wait(const Request& request);

 private:
  bool full() const { return num_responses_ >= kMaxResponses || num_bytes_ >= kMaxBytes; }

  std::mutex mutex_;
  std::condition_variable room_;
  std::function<void()> told_;
  std::size_t num_responses_ = 0;
  std::size_t num_bytes_ = 0;
};

}  // namespace naiad
