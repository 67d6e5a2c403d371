#include "base/thread.h"

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>

#include <string>

namespace naiad {
namespace {

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

}  // namespace
}  // namespace naiad
