#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/event_loop.h"

namespace naiad {

// The thread beside an I/O thread on which long messages are inflated and deflated, so that the other
// connections need not wait for that. It is started when it is first needed.
class CodingThread {
 public:
  // Work that was asked for. Without it nobody is told of the work's end. I/O thread.
  class Job {
   public:
    Job() = default;
    Job(Job&&) noexcept = default;
    Job& operator=(Job&& other) noexcept;
    ~Job() { cancel(); }
    // Whether `done` is still to be called.
    bool under_way() const;
    // `done` will not be called.
    void cancel();

   private:
    friend class CodingThread;
    struct State;
    std::shared_ptr<State> state_;
  };

  // `loop` outlives this.
  CodingThread(EventLoop& loop, std::string name);
  // Finishes the present piece of work and drops the others; blocks.
  ~CodingThread();
  CodingThread(const CodingThread&) = delete;
  CodingThread& operator=(const CodingThread&) = delete;

  // Runs `work`, which does not throw, on the thread, in the order of asking; then `done` on the I/O thread.
  // `work` owns all that it uses. I/O thread.
  [[nodiscard]] Job run(std::function<void()> work, std::function<void()> done);

 private:
  struct Queue;
  EventLoop& loop_;
  const std::string name_;
  std::unique_ptr<Queue> queue_;
};

}  // namespace naiad
