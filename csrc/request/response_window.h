#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
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
  // What is called by taken() with each response, to tell who sends from another process. Set before the
  // first response.
  void on_taken(std::function<void(std::size_t)> told) { taken_ = std::move(told); }
  // What has been taken is counted elsewhere, by another process: these are its counts. Set before the first
  // response; they outlive this.
  void follow(const std::atomic<std::uint64_t>& num_responses, const std::atomic<std::uint64_t>& num_bytes) {
    taken_responses_ = &num_responses;
    taken_bytes_ = &num_bytes;
  }
  // Blocks until there is room for another one, or the request is cancelled (seen after some 10 ms).
  void wait(const Request& request);

 private:
  bool full() const {
    const std::size_t responses = taken_responses_ == nullptr ? 0 : taken_responses_->load();
    const std::size_t bytes = taken_bytes_ == nullptr ? 0 : taken_bytes_->load();
    return num_responses_ - responses >= kMaxResponses || num_bytes_ - bytes >= kMaxBytes;
  }

  std::mutex mutex_;
  std::condition_variable room_;
  std::function<void()> told_;
  std::function<void(std::size_t)> taken_;
  const std::atomic<std::uint64_t>* taken_responses_ = nullptr;
  const std::atomic<std::uint64_t>* taken_bytes_ = nullptr;
  std::size_t num_responses_ = 0;
  std::size_t num_bytes_ = 0;
};

}  // namespace naiad
