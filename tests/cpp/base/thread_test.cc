#include "base/thread.h"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace naiad {
namespace {

// What sched_getattr(2) says of the calling thread's turns; 0 where it does not say.
std::uint64_t slice_ns() {
  std::array<std::uint64_t, 6> attributes{};  // struct sched_attr: the runtime is the fourth 8 bytes
  if (::syscall(SYS_sched_getattr, 0, attributes.data(), sizeof attributes, 0) != 0) return 0;
  return attributes[3];
}

bool blocked(int signal) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  return sigismember(&mask, signal) == 1;
}

TEST_CASE("thread: it is named, cut to what Linux keeps") {
  std::string name;
  start_thread("instance-3", [&] { name = thread_name(); }).join();
  CHECK(name == "instance-3");
  start_thread("a-name-that-is-too-long", [&] { name = thread_name(); }).join();
  CHECK(name == "a-name-that-is-");
}

std::vector<int> cpus_of_this_thread() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

TEST_CASE("thread: it takes its place, and those that it starts have it too") {
  const std::vector<int> before = cpus_of_this_thread();
  const std::vector<int> wanted{before.back()};
  std::vector<int> own;
  std::vector<int> inherited;
  start_thread("placed", [&] {
    take_place({wanted, {}});
    own = cpus_of_this_thread();
    start_thread("its child", [&] { inherited = cpus_of_this_thread(); }).join();
  }).join();
  CHECK(own == wanted);
  CHECK(inherited == wanted);
  CHECK(cpus_of_this_thread() == before);
}

TEST_CASE("thread: a place that there is not is refused") {
  start_thread("nowhere", [] {
    CHECK_THROWS_WITH_AS(take_place({{CPU_SETSIZE - 1}, {}}),
                         "host policy: the processors can not be used: Invalid argument", Error);
    CHECK_THROWS_WITH_AS(take_place({{cpus_of_this_thread().front(), CPU_SETSIZE - 1}, {}}),
                         "host policy: some of the processors can not be used: Invalid argument", Error);
    CHECK_THROWS_AS(take_place({{}, 63}), Error);
    CHECK_THROWS_AS(take_place({{}, 64}), Error);
    CHECK_NOTHROW(take_place({}));
  }).join();
}

TEST_CASE("thread: it leaves the process's signals to others, and the starter's mask as it was") {
  bool term = false;
  bool fault = true;
  start_thread("signals", [&] {
    term = blocked(SIGTERM);
    fault = blocked(SIGSEGV);
  }).join();
  CHECK(term);
  CHECK_FALSE(fault);
  CHECK_FALSE(blocked(SIGTERM));
}

TEST_CASE(
    "short turns: asked for where the kernel has them, for the calling thread alone, and its policy stays") {
  std::uint64_t runtime_ns = 0;
  std::uint64_t other_ns = 0;
  bool taken = false;
  int policy = -1;
  start_thread("short", [&] {
    taken = take_short_turns();
    policy = sched_getscheduler(0);
    runtime_ns = slice_ns();
  }).join();
  start_thread("other", [&] { other_ns = slice_ns(); }).join();
  CHECK(policy == sched_getscheduler(0));
  if (runtime_ns == 0) return;  // the kernel is too old to tell
  CHECK(taken);
  CHECK(runtime_ns == 100'000);
  CHECK(other_ns > runtime_ns);
}

}  // namespace
}  // namespace naiad
