#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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
  // What is called by taken() with each response. Set before the first response.
  void on_taken(std::function<void(std::size_t)> told) { taken_ = std::move(told); }

  using Count = std::atomic<std::uint64_t>;
  // From now on taken() counts here too, for who sends from another process and follow()s: he begins with
  // nothing sent, so the counts begin below zero by what is on its way already. Empty: no more, because the
  // memory of the counts will be another request's. Any time.
  void count_into(std::shared_ptr<Count> num_responses, std::shared_ptr<Count> num_bytes);
  // The other side of it: these count what has been taken. Set before the first response; they outlive this.
  void follow(const Count& num_responses, const Count& num_bytes) {
    taken_responses_ = &num_responses;
    taken_bytes_ = &num_bytes;
  }
  // Blocks until there is room for another one, or the request is cancelled (seen after some 10 ms).
  void wait(const Request& request);

 private:
  static std::uint64_t count_of(const Count* count) { return count == nullptr ? 0 : count->load(); }
  // With mutex_ held.
  bool full() const {
    return num_responses_ - count_of(taken_responses_) >= kMaxResponses ||
           num_bytes_ - count_of(taken_bytes_) >= kMaxBytes;
  }

  std::mutex mutex_;
  std::condition_variable room_;
  std::function<void()> told_;
  std::function<void(std::size_t)> taken_;
  std::shared_ptr<Count> counts_responses_;
  std::shared_ptr<Count> counts_bytes_;
  const Count* taken_responses_ = nullptr;
  const Count* taken_bytes_ = nullptr;
  std::uint64_t num_responses_ = 0;  // on their way; with follow(), sent ever
  std::uint64_t num_bytes_ = 0;
};

}  // namespace naiad
