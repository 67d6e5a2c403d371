// Model of Ring: two producers and two consumers on a ring of two cells, so that it is both full and empty on
// the way. Checked: no race on an item, none lost, none twice, FIFO per producer.
// clang-format off
#include "queue/ring.h"
#include "relacy_atomics.h"
// clang-format on

namespace naiad::model {
namespace {

template <Break kBroken>
struct RingModel : rl::test_suite<RingModel<kBroken>, 4> {
  static constexpr unsigned kPushes = 3;

  Ring<Item, RelacyAtomics<kBroken>> ring{2};
  unsigned num_pushed[2] = {};
  unsigned next_number[2][2] = {};  // [consumer][producer]
  unsigned times_seen[2][kPushes + 1] = {};

  void thread(unsigned index) {
    if (index < 2) {
      for (unsigned i = 0; i < kPushes; ++i) {
        Item item(index << 8 | (num_pushed[index] + 1));
        if (ring.try_push(item)) ++num_pushed[index];
      }
    } else {
      for (unsigned i = 0; i < kPushes; ++i) take(index - 2);
    }
  }

  bool take(unsigned consumer) {
    Item item;
    if (!ring.try_pop(item)) return false;
    const unsigned producer = item.number() >> 8;
    const unsigned number = item.number() & 0xff;
    RL_ASSERT(producer < 2 && number >= 1 && number <= kPushes);
    RL_ASSERT(number > next_number[consumer][producer]);
    next_number[consumer][producer] = number;
    ++times_seen[producer][number];
    return true;
  }

  void after() {
    while (take(0)) {
    }
    for (unsigned producer = 0; producer < 2; ++producer) {
      for (unsigned number = 1; number <= kPushes; ++number) {
        RL_ASSERT(times_seen[producer][number] == (number <= num_pushed[producer] ? 1 : 0));
      }
    }
    RL_ASSERT(ring.size_approx() == 0);
  }
};

}  // namespace
}  // namespace naiad::model

int main() {
  using namespace naiad::model;
  bool ok = check<RingModel<Break::kNothing>>("ring", 500'000, false);
  ok &= check<RingModel<Break::kRelease>>("ring without release", 150'000, true);
  ok &= check<RingModel<Break::kAcquire>>("ring without acquire", 150'000, true);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
