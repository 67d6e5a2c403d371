#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "fakes/requests.h"

namespace naiad::test {

// Answers of requests by their tags, for who waits for them.
class GatheredAnswers final : public CompletionSink {
 public:
  void respond(const Request&, Response) noexcept override {}
  void complete(std::unique_ptr<Request> request, Response response) noexcept override {
    const std::uint64_t tag = request->tag;
    request.reset();
    {
      const std::lock_guard lock(mutex_);
      answers_.emplace(tag, std::move(response));
    }
    changed_.notify_all();
  }
  // Blocks until so many are there.
  void wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.size() >= count; });
  }
  // To be read when no more can come.
  std::map<std::uint64_t, Response>& all() { return answers_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Response> answers_;
};

}  // namespace naiad::test
