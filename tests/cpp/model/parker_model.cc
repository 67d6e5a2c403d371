// Models of Parker. A lost wake-up leaves a thread asleep for ever, which Relacy reports as a deadlock.
// clang-format off
#include "queue/parker.h"
#include "queue/ring.h"
#include "relacy_atomics.h"
// clang-format on

namespace naiad::model {
namespace {

// One waiter needs word of two notifiers, who write with the weakest order there is. kUsage: the waiter does
// not look again between prepare() and wait().
template <Break kBroken, std::uint32_t kMaxSpins>
struct WordModel : rl::test_suite<WordModel<kBroken, kMaxSpins>, 3> {
  typename RelacyAtomics<kBroken>::template Atomic<std::uint32_t> word[2] = {0, 0};
  BasicParker<RelacyParking<kBroken>> parker{kMaxSpins};

  bool both() {
    return word[0].load(std::memory_order_relaxed) + word[1].load(std::memory_order_relaxed) == 2;
  }

  void thread(unsigned index) {
    if (index < 2) {
      word[index].store(1, std::memory_order_relaxed);
      parker.notify_one();
      return;
    }
    while (!both()) {
      const auto ticket = parker.prepare();
      if (kBroken != Break::kUsage && both()) {
        parker.cancel(ticket);
        break;
      }
      parker.wait(ticket);
    }
  }
};

// Two consumers that each want one item of two producers, through a Ring. kUsage: a consumer that leaves an
// item behind does not pass the wake-up on (see Ring::try_pop).
template <Break kBroken>
struct HandOverModel : rl::test_suite<HandOverModel<kBroken>, 4> {
  Ring<Item, RelacyAtomics<kBroken>> ring{2};
  BasicParker<RelacyParking<kBroken>> not_empty{0};

  void thread(unsigned index) {
    Item item(index + 1);
    if (index < 2) {
      RL_ASSERT(ring.try_push(item));
      not_empty.notify_one();
      return;
    }
    while (!ring.try_pop(item)) {
      const auto ticket = not_empty.prepare();
      if (ring.try_pop(item)) {
        not_empty.cancel(ticket);
        break;
      }
      not_empty.wait(ticket);
    }
    RL_ASSERT(item.number() == 1 || item.number() == 2);
    if (kBroken != Break::kUsage && ring.size_approx() != 0) not_empty.notify_one();
  }
  void after() { RL_ASSERT(ring.size_approx() == 0); }
};

// Stop against two sleepers, one of them with a deadline that may pass at any moment: an item pushed before
// the stop is taken by someone. kUsage: only one of them is woken.
template <Break kBroken>
struct StopModel : rl::test_suite<StopModel<kBroken>, 3> {
  Ring<Item, RelacyAtomics<kBroken>> ring{2};
  typename RelacyAtomics<kBroken>::template Atomic<std::uint32_t> stopping{0};
  BasicParker<RelacyParking<kBroken>> changed{0};
  unsigned num_taken[2] = {};

  void thread(unsigned index) {
    Item item(1);
    if (index == 0) {
      RL_ASSERT(ring.try_push(item));
      changed.notify_one();
      stopping.store(1, std::memory_order_release);
      if (kBroken == Break::kUsage) {
        changed.notify_one();
      } else {
        changed.notify_all();
      }
      return;
    }
    for (;;) {
      const auto ticket = changed.prepare();
      const bool last_look = stopping.load(std::memory_order_acquire) != 0;
      if (ring.try_pop(item)) {
        ++num_taken[index - 1];
        changed.cancel(ticket);
      } else if (last_look) {
        changed.cancel(ticket);
        return;
      } else if (index == 1) {
        changed.wait(ticket);
      } else if (!changed.wait(ticket, 1)) {
        changed.wait(changed.prepare(), 1);  // a waiter that lost to its deadline leaves the counts in order
      }
    }
  }
  void after() { RL_ASSERT(num_taken[0] + num_taken[1] == 1); }
};

}  // namespace
}  // namespace naiad::model

int main() {
  using namespace naiad::model;
  bool ok = check<WordModel<Break::kNothing, 0>>("parker", 500'000, false);
  ok &= check<WordModel<Break::kNothing, 1>>("parker that spins", 500'000, false);
  ok &= check<WordModel<Break::kFence, 0>>("parker without fences", 100'000, true);
  ok &= check<WordModel<Break::kSeqCst, 0>>("parker without sequential consistency", 100'000, true);
  ok &= check<WordModel<Break::kUsage, 0>>("parker without the re-check", 100'000, true);
  ok &= check<HandOverModel<Break::kNothing>>("ring and parker", 500'000, false);
  ok &= check<HandOverModel<Break::kFence>>("ring and parker without fences", 100'000, true);
  ok &= check<HandOverModel<Break::kUsage>>("ring and parker without passing on", 100'000, true);
  ok &= check<StopModel<Break::kNothing>>("stop", 300'000, false);
  ok &= check<StopModel<Break::kUsage>>("stop with one wake-up for two", 50'000, true);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
