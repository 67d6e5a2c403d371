#include "execute/worker_backend.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "base/thread.h"

namespace naiad {
namespace {

constexpr int kIdleTickMs = 200;
constexpr int kBusyTickMs = 10;
// So much of what a worker says is read, until its cancels and its end are looked after again.
constexpr std::size_t kEventsATurn = 64;
constexpr std::chrono::milliseconds kFirstPause{100};
constexpr std::chrono::milliseconds kLongestPause{30'000};

// A descriptor that is readable once a process has ended.
class ProcessFd {
 public:
  explicit ProcessFd(int pid) : fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {
    if (fd_ < 0) throw Error(Code::kUnavailable, "a worker process cannot be watched");
  }
  ~ProcessFd() { close(fd_); }
  ProcessFd(const ProcessFd&) = delete;
  ProcessFd& operator=(const ProcessFd&) = delete;

  int fd() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

WorkerBackend::WorkerBackend(const InstanceSpec& spec, std::shared_ptr<WorkerHost> host, WorkerLimits limits)
    : model_(spec.model),
      pool_(spec.pool),
      name_(spec.name),
      device_(spec.device),
      host_(std::move(host)),
      limits_(limits),
      calls_(spec.calls),
      on_unhealthy_(spec.on_unhealthy),
      number_(calls_ != nullptr ? calls_->add_instance({model_.name, model_.version}) : 0) {
  monitor_ = start_thread(name_ + " worker", [this] { watch(); });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return state_ != State::kStarting; });
  if (state_ == State::kRunning) return;
  const Status reason = reason_;
  stopping_ = true;
  lock.unlock();
  changed_.notify_all();
  wake_.signal();
  monitor_.join();
  if (calls_ != nullptr) calls_->remove_instance(number_);
  throw Error(reason);
}

WorkerBackend::~WorkerBackend() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  wake_.signal();
  if (monitor_.joinable()) monitor_.join();
  if (calls_ != nullptr) calls_->remove_instance(number_);
}

bool WorkerBackend::is_stopping() const {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void WorkerBackend::become(State state, Status reason, std::shared_ptr<WorkerLife> life) {
  {
    const std::lock_guard lock(mutex_);
    state_ = state;
    is_running_.store(state == State::kRunning, std::memory_order_relaxed);
    reason_ = std::move(reason);
    life_ = std::move(life);
  }
  changed_.notify_all();
  if (state != State::kRunning && on_unhealthy_) on_unhealthy_();
}

void WorkerBackend::execute(Execution& execution) {
  std::shared_ptr<WorkerLife> life;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state_ != State::kStarting; });
    if (state_ == State::kDown) {
      throw Error(Code::kUnavailable,
                  "model '" + model_.name + "': its worker is started again, after: " + reason_.message());
    }
    life = life_;
  }
  const CalledBatch called(calls_, number_, execution);
  life->run(execution);
}

void WorkerBackend::watch() {
  auto pause = kFirstPause;
  while (!is_stopping()) {
    if (live()) {
      pause = kFirstPause;
      become(State::kStarting);
      continue;
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause, [&] { return stopping_; });
    pause = std::min(pause * 2, kLongestPause);
  }
}

bool WorkerBackend::live() {
  std::shared_ptr<WorkerLife> life;
  std::unique_ptr<WorkerProcess> process;
  std::optional<ProcessFd> ended;
  try {
    life = std::make_shared<WorkerLife>(model_, pool_, clock_, *host_, number_, limits_.execute_ns);
    const WorkerFiles files = life->files();
    try {
      process = host_->start(files, name_, device_);
    } catch (...) {
      close(files.server_arena);
      throw;
    }
    close(files.server_arena);
    ended.emplace(process->pid());
    process_id_.store(process->pid(), std::memory_order_relaxed);
  } catch (const Error& error) {
    if (process) {
      process->kill();
      static_cast<void>(process->wait());
    }
    become(State::kDown, error.status());
    return false;
  }

  const std::uint64_t start_ns = clock_.now_ns();
  std::uint64_t stop_ns = 0;
  bool is_ready = false;
  bool is_killed = false;
  Status failure;
  const auto kill = [&] {
    if (!std::exchange(is_killed, true)) process->kill();
  };
  const auto take = [&](std::size_t most) {
    try {
      switch (life->take_events(most)) {
        case WorkerLife::News::kReady:
          is_ready = true;
          become(State::kRunning, {}, life);
          break;
        case WorkerLife::News::kFailed:
          failure = life->failure();
          break;
        case WorkerLife::News::kNone:
          break;
      }
    } catch (const Error& error) {
      log_error("model instance '" + name_ + "': " + error.what() + ": its worker is ended");
      life->condemn(kNonsense);
    }
  };
  for (bool has_ended = false; !has_ended;) {
    const bool busy = life->tick();
    const bool sleeps = life->channel().events().prepare_sleep();
    std::array<pollfd, 3> watched{pollfd{life->event().fd(), POLLIN, 0}, pollfd{wake_.fd(), POLLIN, 0},
                                  pollfd{ended->fd(), POLLIN, 0}};
    static_cast<void>(poll(watched.data(), watched.size(), !sleeps ? 0 : busy ? kBusyTickMs : kIdleTickMs));
    life->channel().events().awake();
    has_ended = (watched[2].revents & POLLIN) != 0;
    take(kEventsATurn);
    const std::uint64_t now_ns = clock_.now_ns();
    if (life->fault() != nullptr) kill();
    if (!is_ready && limits_.start_ns != 0 && now_ns - start_ns > limits_.start_ns) {
      if (failure.ok()) failure = {Code::kUnavailable, "model '" + model_.name + "' was not loaded in time"};
      kill();
    }
    if (is_stopping()) {
      wake_.reset();
      if (stop_ns == 0) {
        stop_ns = now_ns;
        life->order_stop();
      }
      if (now_ns - stop_ns > limits_.stop_ns) kill();
    }
  }
  take(SIZE_MAX);  // what it said last
  process_id_.store(0, std::memory_order_relaxed);
  std::string how = process->wait();
  const bool was_asked = stop_ns != 0 && !is_killed;
  if (life->fault() != nullptr) how = life->fault();
  if (is_ready && !was_asked) log_error("model instance '" + name_ + "': its worker " + how);
  if (failure.ok()) {
    failure = {Code::kInternal, "model '" + model_.name + "': its worker " + how};
  }
  const bool has_served = is_ready && life->has_served();
  become(has_served ? State::kStarting : State::kDown, failure);
  life->ended(was_asked ? "was unloaded" : how);
  return has_served;
}

BackendFactory make_worker_factory(std::shared_ptr<WorkerHost> host, WorkerLimits limits) {
  return [host = std::move(host), limits](const InstanceSpec& spec) -> std::unique_ptr<Backend> {
    return std::make_unique<WorkerBackend>(spec, host, limits);
  };
}

}  // namespace naiad
