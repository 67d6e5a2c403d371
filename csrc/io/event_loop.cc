#include "io/event_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "io/timer_wheel.h"
#include "queue/completion_queue.h"
#include "queue/event_fd.h"

namespace naiad {
namespace {

constexpr std::size_t kMaxEvents = 256;
constexpr std::uint64_t kWakeMark = std::numeric_limits<std::uint64_t>::max();

// The posted tasks need no descriptor of their own: wake() tells the loop.
struct NoEvent {
  void signal() noexcept {}
  void reset() noexcept {}
  int fd() const { return -1; }
};

[[noreturn]] void throw_refused(const char* what) {
  throw Error(Code::kUnavailable, std::string("event loop: ") + what + ": " + std::strerror(errno));
}

}  // namespace

struct EventLoop::State {
  // What is known of a descriptor. The generation goes into the epoll data and tells a descriptor from a
  // later one of the same number.
  struct Watched {
    Watcher* watcher = nullptr;
    std::uint32_t generation = 0;
  };

  State(const Clock& loop_clock, std::uint64_t longest_spin_ns)
      : clock(loop_clock),
        spin_ns(longest_spin_ns),
        wheel(loop_clock.now_ns()),
        epoll_fd(epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_fd < 0) throw_refused("epoll_create1");
    epoll_event event{};
    // Edge-triggered: each signal is one wake-up, and the counter need not be read.
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kWakeMark;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_event.fd(), &event) != 0) {
      ::close(epoll_fd);
      throw_refused("epoll_ctl");
    }
  }
  ~State() { ::close(epoll_fd); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void change(int operation, int fd, std::uint32_t events);
  int wait_ms() const;
  std::size_t wait(std::span<epoll_event> events);
  std::size_t spin(std::span<epoll_event> events);
  std::size_t sleep(std::span<epoll_event> events);
  void deliver(const epoll_event& event);
  void deliver_wakes();

  const Clock& clock;
  const std::uint64_t spin_ns;
  std::uint64_t waited_ns = 0;  // the last time, where it spins
  TimerWheel wheel;
  EventFd wake_event;
  const int epoll_fd;
  std::vector<Watched> watched;  // by descriptor
  std::vector<Watcher*> wake_watchers;
  CompletionQueue<std::function<void()>, StdAtomics, NoEvent> posted;
  std::vector<std::function<void()>> tasks;
  std::uint64_t now_ns = 0;
  bool running = false;

  // pending and asleep are Dekker's pair, both seq_cst: either wake() sees that the loop may sleep, or the
  // loop sees before it sleeps that there is something. pending's exchange in the loop also acquires what the
  // one in wake() released: all that was filled before it.
  alignas(kCacheLineBytes) std::atomic<bool> pending{false};
  std::atomic<bool> asleep{false};
  // Pairs with nothing: the wake() that follows its setting makes the loop look.
  std::atomic<bool> stopping{false};
};

void EventLoop::State::change(int operation, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 =
      std::uint64_t{watched[static_cast<std::size_t>(fd)].generation} << 32 | static_cast<std::uint32_t>(fd);
  if (epoll_ctl(epoll_fd, operation, fd, &event) != 0) throw_refused("epoll_ctl");
}

// How long epoll may sleep; -1 = until an event.
int EventLoop::State::wait_ms() const {
  const std::uint64_t due_ns = wheel.next_ns();
  if (due_ns == TimerWheel::kNever) return -1;
  const std::uint64_t from_ns = clock.now_ns();
  if (due_ns <= from_ns) return 0;
  constexpr std::uint64_t kLongestMs = 1'000'000;
  return static_cast<int>(std::min((due_ns - from_ns - 1) / 1'000'000 + 1, kLongestMs));
}

std::size_t EventLoop::State::wait(std::span<epoll_event> events) {
  if (spin_ns == 0) return sleep(events);
  const std::uint64_t from_ns = clock.now_ns();
  std::size_t count = waited_ns <= spin_ns ? spin(events) : 0;
  if (count == 0) count = sleep(events);
  waited_ns = clock.now_ns() - from_ns;
  return count;
}

// Nothing, too, when something is pending.
std::size_t EventLoop::State::spin(std::span<epoll_event> events) {
  const std::uint64_t until_ns = clock.now_ns() + spin_ns;
  do {
    if (pending.load(std::memory_order_relaxed)) return 0;  // which sleep() looks at again
    const int count = epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), 0);
    if (count > 0) return static_cast<std::size_t>(count);
  } while (clock.now_ns() < until_ns);
  return 0;
}

std::size_t EventLoop::State::sleep(std::span<epoll_event> events) {
  asleep.store(true, std::memory_order_seq_cst);
  const int timeout_ms = pending.load(std::memory_order_seq_cst) ? 0 : wait_ms();
  const int count = epoll_wait(epoll_fd, events.data(), static_cast<int>(events.size()), timeout_ms);
  asleep.store(false, std::memory_order_relaxed);  // late is harmless: a signal too many
  if (count < 0 && errno != EINTR) throw_refused("epoll_wait");
  return static_cast<std::size_t>(std::max(count, 0));
}

void EventLoop::State::deliver(const epoll_event& event) {
  if (event.data.u64 == kWakeMark) return;  // pending says it
  const auto fd = static_cast<std::size_t>(event.data.u64 & 0xffff'ffff);
  const Watched& found = watched[fd];
  if (found.watcher == nullptr || found.generation != event.data.u64 >> 32) return;
  found.watcher->on_events(event.events);
}

void EventLoop::State::deliver_wakes() {
  if (!pending.exchange(false, std::memory_order_seq_cst)) return;
  for (std::size_t i = 0; i < wake_watchers.size(); ++i) {
    if (wake_watchers[i] != nullptr) wake_watchers[i]->on_events(0);
  }
  std::erase(wake_watchers, nullptr);
  posted.drain(tasks);
  for (std::function<void()>& task : tasks) std::exchange(task, nullptr)();
  tasks.clear();
}

EventLoop::EventLoop(const Clock& clock, std::uint64_t spin_ns)
    : state_(std::make_unique<State>(clock, spin_ns)) {}
EventLoop::~EventLoop() = default;

void EventLoop::watch(int fd, std::uint32_t events, Watcher& watcher) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= state_->watched.size()) state_->watched.resize(index + 1);
  State::Watched& entry = state_->watched[index];
  ++entry.generation;
  state_->change(EPOLL_CTL_ADD, fd, events);
  entry.watcher = &watcher;
}

void EventLoop::rewatch(int fd, std::uint32_t events, Watcher& watcher) {
  state_->change(EPOLL_CTL_MOD, fd, events);
  state_->watched[static_cast<std::size_t>(fd)].watcher = &watcher;
}

void EventLoop::forget(int fd) {
  State::Watched& entry = state_->watched[static_cast<std::size_t>(fd)];
  if (entry.watcher == nullptr) return;
  entry.watcher = nullptr;
  // Not left to close(): a copy of the descriptor in another process would keep it in the epoll set.
  static_cast<void>(epoll_ctl(state_->epoll_fd, EPOLL_CTL_DEL, fd, nullptr));
}

void EventLoop::run() {
  State& state = *state_;
  std::array<epoll_event, kMaxEvents> events{};
  state.running = true;
  while (!state.stopping.load(std::memory_order_relaxed)) {
    const std::size_t count = state.wait(events);
    state.now_ns = state.clock.now_ns();
    for (std::size_t i = 0; i < count; ++i) state.deliver(events[i]);
    state.deliver_wakes();
    state.wheel.advance(state.now_ns);
  }
  state.stopping.store(false, std::memory_order_relaxed);
  state.running = false;
}

void EventLoop::stop() {
  state_->stopping.store(true, std::memory_order_relaxed);
  wake();
}

void EventLoop::post(std::function<void()> task) {
  state_->posted.push(std::move(task));
  wake();
}

void EventLoop::drop_posted() {
  state_->posted.drain(state_->tasks);
  state_->tasks.clear();
}

void EventLoop::watch_wakes(Watcher& watcher) {
  state_->wake_watchers.push_back(&watcher);
}

void EventLoop::forget_wakes(Watcher& watcher) {
  // Emptied, not taken out: it may be forgotten while they are told.
  std::replace(state_->wake_watchers.begin(), state_->wake_watchers.end(), &watcher,
               static_cast<Watcher*>(nullptr));
}

void EventLoop::wake() noexcept {
  // True already: whoever set it has signalled, or the loop is awake and will look before it sleeps; and its
  // exchange comes after this one.
  if (state_->pending.exchange(true, std::memory_order_seq_cst)) return;
  if (state_->asleep.load(std::memory_order_seq_cst)) state_->wake_event.signal();
}

std::uint64_t EventLoop::now_ns() const {
  return state_->running ? state_->now_ns : state_->clock.now_ns();
}

const Clock& EventLoop::clock() const {
  return state_->clock;
}

EventLoop::Timer::Timer(EventLoop& loop, std::function<void()> due) : loop_(loop), due_(std::move(due)) {}

EventLoop::Timer::~Timer() {
  loop_.state_->wheel.forget(*this);
}

void EventLoop::Timer::arm(std::uint64_t delay_ns) {
  const std::uint64_t now_ns = loop_.now_ns();
  const std::uint64_t longest_ns = std::numeric_limits<std::uint64_t>::max() - now_ns;
  loop_.state_->wheel.arm(*this, now_ns + std::min(delay_ns, longest_ns));
}

void EventLoop::Timer::disarm() {
  loop_.state_->wheel.disarm(*this);
}

}  // namespace naiad
