// Model of FreeList: three threads take, write and return three slots. Checked: a slot never has two owners
// (a race on its content), and all of them are in the list at the end. Without the tag, the textbook ABA.
// clang-format off
#include "memory/free_list.h"
#include "relacy_atomics.h"
// clang-format on

namespace naiad::model {
namespace {

template <Break kBroken>
struct FreeListModel : rl::test_suite<FreeListModel<kBroken>, 3> {
  using Atomics = RelacyAtomics<kBroken>;
  using Link = typename Atomics::template Atomic<std::uint32_t>;
  static constexpr std::uint32_t kSlots = 3;

  struct Links {
    FreeListModel* model;
    Link& operator()(std::uint32_t index) const { return model->links[index]; }
  };

  Link links[kSlots] = {0, 0, 0};
  rl::var<unsigned> content[kSlots] = {0, 0, 0};
  FreeList<Links, Atomics> list;

  void before() {
    for (std::uint32_t i = 0; i < kSlots; ++i) list.push(i, Links{this});
  }

  std::uint32_t take(unsigned owner) {
    const std::uint32_t slot = list.try_pop(Links{this});
    if (slot != list.kNone) content[slot]($).store(owner);
    return slot;
  }
  void put(std::uint32_t slot, unsigned owner) {
    if (slot == list.kNone) return;
    RL_ASSERT(content[slot]($).load() == owner);
    list.push(slot, Links{this});
  }

  void thread(unsigned index) {
    const unsigned owner = index + 1;
    if (index == 0) {
      put(take(owner), owner);
    } else {
      // Out in one order and back in the other: what makes ABA bite.
      const std::uint32_t first = take(owner);
      const std::uint32_t second = take(owner);
      put(first, owner);
      put(second, owner);
    }
  }

  void after() {
    unsigned taken[kSlots] = {};
    for (std::uint32_t i = 0; i < kSlots; ++i) {
      const std::uint32_t slot = list.try_pop(Links{this});
      RL_ASSERT(slot < kSlots);
      ++taken[slot];
    }
    for (const unsigned times : taken) RL_ASSERT(times == 1);
    RL_ASSERT(list.try_pop(Links{this}) == list.kNone);
  }
};

}  // namespace
}  // namespace naiad::model

int main() {
  using namespace naiad::model;
  bool ok = check<FreeListModel<Break::kNothing>>("free list", 1'000'000, false);
  ok &= check<FreeListModel<Break::kTag>>("free list without tag", 200'000, true);
  ok &= check<FreeListModel<Break::kRelease>>("free list without release", 200'000, true);
  ok &= check<FreeListModel<Break::kAcquire>>("free list without acquire", 200'000, true);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
