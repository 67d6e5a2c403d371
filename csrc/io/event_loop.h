#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"

namespace naiad {

class TimerWheel;

// One I/O thread's loop: waits on file descriptors with epoll, runs timers, and what other threads post.
// Methods without another word: the thread that runs it (the I/O thread), or before run().
class EventLoop {
 public:
  // Told what happens to a file descriptor. It may forget any descriptor, its own too, while it is told.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    // `events` as of epoll: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. I/O thread.
    virtual void on_events(std::uint32_t events) = 0;
  };

  // Something that is due once, coarsely: never early, late by up to a tick of the wheel (some 10 ms).
  // Disarmed when destroyed. `due` may arm or destroy any timer, its own too. Arming it again for later costs
  // next to nothing.
  class Timer {
   public:
    Timer(EventLoop& loop, std::function<void()> due);
    ~Timer();
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    // (Re-)arms it: due `delay_ns` after the start of this round. I/O thread.
    void arm(std::uint64_t delay_ns);
    void disarm();
    bool armed() const { return place_ != nullptr; }

   private:
    friend class TimerWheel;
    EventLoop& loop_;
    std::function<void()> due_;
    Timer* next_ = nullptr;  // in its slot of the wheel
    Timer** place_ = nullptr;
    std::uint64_t due_tick_ = 0;
  };

  // `spin_ns`: a wait that is likely to be shorter, as the one before was, does not sleep: on a machine whose
  // idle processors wake up slowly that answers sooner, for the time of the processor.
  explicit EventLoop(const Clock& clock, std::uint64_t spin_ns = 0);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Throws Error(kUnavailable) when the kernel refuses. The watcher outlives forget(). Events of a round that
  // were already fetched for a forgotten descriptor are not delivered.
  void watch(int fd, std::uint32_t events, Watcher& watcher);
  void rewatch(int fd, std::uint32_t events, Watcher& watcher);
  void forget(int fd);

  // Runs until stop(), of which one before run() counts; may be run again. Blocks. Its thread is the I/O
  // thread.
  void run();
  // Ends run() after the present round. Any thread.
  void stop();
  // Runs `task` on the I/O thread, in the order of posting; wakes the loop only when it may sleep. Any
  // thread; tasks that are posted after the loop has ended are dropped with the loop.
  void post(std::function<void()> task);

  // Drops what was posted and has not been run, and all that those tasks hold. While it does not run.
  void drop_posted();

  // For what other threads fill and the I/O thread empties: whoever filled calls wake(), and each watcher of
  // wakes is told, with no events, in a round that begins its emptying after that. Many wakes may be one.
  // Cheaper than a descriptor: a loop that is awake is woken without a system call.
  void watch_wakes(Watcher& watcher);
  void forget_wakes(Watcher& watcher);
  // Any thread; never blocks.
  void wake() noexcept;

  // The time at the start of this round (the time now while the loop does not run): what most of the loop's
  // work needs.
  std::uint64_t now_ns() const;
  const Clock& clock() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace naiad
