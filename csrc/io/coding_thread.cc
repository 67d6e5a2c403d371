#include "io/coding_thread.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/thread.h"

namespace naiad {

struct CodingThread::Job::State {
  std::function<void()> work;  // the thread's
  std::function<void()> done;  // the I/O thread's; empty: called or cancelled
};

CodingThread::Job& CodingThread::Job::operator=(Job&& other) noexcept {
  if (this != &other) {
    cancel();
    state_ = std::move(other.state_);
  }
  return *this;
}

bool CodingThread::Job::under_way() const {
  return state_ != nullptr && state_->done != nullptr;
}

void CodingThread::Job::cancel() {
  if (state_) state_->done = nullptr;
  state_.reset();
}

struct CodingThread::Queue {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<Job::State>> waiting;
  bool ends = false;
  std::jthread thread;
};

CodingThread::CodingThread(EventLoop& loop, std::string name)
    : loop_(loop), name_(std::move(name)), queue_(std::make_unique<Queue>()) {}

CodingThread::~CodingThread() {
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->ends = true;
  }
  queue_->changed.notify_one();
  if (queue_->thread.joinable()) queue_->thread.join();
}

CodingThread::Job CodingThread::run(std::function<void()> work, std::function<void()> done) {
  Job job;
  job.state_ = std::make_shared<Job::State>(Job::State{std::move(work), std::move(done)});
  {
    const std::lock_guard lock(queue_->mutex);
    queue_->waiting.push_back(job.state_);
  }
  queue_->changed.notify_one();
  if (queue_->thread.joinable()) return job;
  queue_->thread = start_thread(name_, [this] {
    std::unique_lock lock(queue_->mutex);
    while (true) {
      queue_->changed.wait(lock, [this] { return queue_->ends || !queue_->waiting.empty(); });
      if (queue_->ends) return;
      std::shared_ptr<Job::State> next = std::move(queue_->waiting.front());
      queue_->waiting.pop_front();
      lock.unlock();
      next->work();
      next->work = nullptr;
      loop_.post([next = std::move(next)] {
        if (const auto told = std::exchange(next->done, nullptr)) told();
      });
      lock.lock();
    }
  });
  return job;
}

}  // namespace naiad
