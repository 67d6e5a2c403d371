#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/model.h"

namespace naiad {

// Sees to it that requests are answered when their time in a queue is over, also while all instances of their
// model are at work: a thread that looks every few milliseconds for as long as anything waits with a time,
// and sleeps otherwise.
class Sweeper {
 public:
  // `more` is looked after too: called on each look, it says whether it is to be called again soon.
  explicit Sweeper(std::function<bool()> more = {});
  // Blocks until the thread has ended.
  ~Sweeper();
  Sweeper(const Sweeper&) = delete;
  Sweeper& operator=(const Sweeper&) = delete;

  // Looks after the model for as long as it lives. Any thread.
  void add(const std::shared_ptr<Model>& model);
  // A request with a time was queued. Any thread; cheap while the thread is awake.
  void nudge();

 private:
  void run();
  // Whether anything waits with a time.
  bool sweep();

  const std::function<bool()> more_;
  std::mutex mutex_;  // guards all below but awake_
  std::condition_variable nudged_;
  std::vector<std::weak_ptr<Model>> models_;
  bool ended_ = false;
  // Set by nudge(), cleared by the thread before its last look (both seq_cst): a request that was queued
  // before is found by that look, one after it finds this cleared.
  std::atomic<bool> awake_{false};
  std::jthread thread_;
};

}  // namespace naiad
