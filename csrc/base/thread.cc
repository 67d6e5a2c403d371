#include "base/thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace naiad {
namespace {

constexpr std::size_t kMaxNameBytes = 15;        // pthread_setname_np(3)
constexpr std::uint64_t kShortTurnNs = 100'000;  // the least that the kernel takes for SCHED_OTHER

// struct sched_attr, first version: sched_setattr(2). glibc 2.36 has neither it nor the calls.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};

// Blocks the asking signals in this thread for a while; a thread that is started meanwhile inherits the mask,
// so that there is no moment in which the new thread could be chosen.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t asking;
    sigemptyset(&asking);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM}) {
      sigaddset(&asking, signal);
    }
    pthread_sigmask(SIG_BLOCK, &asking, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

Error no_place(const std::string& what, int error) {
  return {Code::kInvalidArgument,
          "host policy: " + what + " can not be used: " + std::generic_category().message(error)};
}

}  // namespace

std::jthread start_thread(const std::string& name, std::function<void()> body) {
  const BlockedSignals blocked;
  return std::jthread([short_name = name.substr(0, kMaxNameBytes), body = std::move(body)] {
    pthread_setname_np(pthread_self(), short_name.c_str());
    body();
  });
}

bool take_short_turns() {
  SchedulingAttributes attributes;
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return false;
  if (attributes.policy != SCHED_OTHER) return false;  // the operator has chosen another kind
  attributes.size = sizeof attributes;
  attributes.runtime_ns = kShortTurnNs;
  return ::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

void take_place(const ThreadPlace& place) {
  if (!place.cpus.empty()) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (const int cpu : place.cpus) {
      if (cpu < 0 || cpu >= CPU_SETSIZE) throw no_place("processor " + std::to_string(cpu), EINVAL);
      CPU_SET(static_cast<std::size_t>(cpu), &cpus);
    }
    // The kernel takes those of the set that there are: who asks for others is to know.
    cpu_set_t taken;
    if (::sched_setaffinity(0, sizeof cpus, &cpus) != 0) throw no_place("the processors", errno);
    if (::sched_getaffinity(0, sizeof taken, &taken) != 0) throw no_place("the processors", errno);
    if (!CPU_EQUAL(&cpus, &taken)) throw no_place("some of the processors", EINVAL);
  }
  if (place.numa_node) {
    constexpr int kBind = 2;  // MPOL_BIND of set_mempolicy(2): libnuma's header is not needed for it
    constexpr int kMaxNode = 8 * sizeof(std::uint64_t);
    const std::string node = "NUMA node " + std::to_string(*place.numa_node);
    if (*place.numa_node < 0 || *place.numa_node >= kMaxNode) throw no_place(node, EINVAL);
    const std::uint64_t nodes = std::uint64_t{1} << *place.numa_node;
    if (::syscall(SYS_set_mempolicy, kBind, &nodes, kMaxNode + 1) != 0) throw no_place(node, errno);
  }
}

std::string thread_name() {
  std::array<char, kMaxNameBytes + 1> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

}  // namespace naiad
