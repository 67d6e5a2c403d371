#include "base/thread.h"

#include <pthread.h>
#include <signal.h>

#include <array>
#include <utility>

namespace naiad {
namespace {

constexpr std::size_t kMaxNameBytes = 15;  // pthread_setname_np(3)

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

}  // namespace

std::jthread start_thread(const std::string& name, std::function<void()> body) {
  const BlockedSignals blocked;
  return std::jthread([short_name = name.substr(0, kMaxNameBytes), body = std::move(body)] {
    pthread_setname_np(pthread_self(), short_name.c_str());
    body();
  });
}

std::string thread_name() {
  std::array<char, kMaxNameBytes + 1> name{};
  pthread_getname_np(pthread_self(), name.data(), name.size());
  return name.data();
}

}  // namespace naiad
