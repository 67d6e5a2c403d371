// Model of CompletionQueue: two producers and a drainer that sleeps until the descriptor is readable.
// Checked: no race on an item, FIFO per producer, none lost, none leaked, and no sleep while an item waits
// (Relacy reports the drainer that sleeps for ever as a deadlock).
// clang-format off
#include "queue/completion_queue.h"
#include "relacy_atomics.h"
// clang-format on

namespace naiad::model {
namespace {

// An eventfd is a counter that is set, reset and awaited by system calls, which the kernel puts in one order:
// a manual-reset event.
template <Break kBroken>
class ModelEvent {
 public:
  ModelEvent() {
    event_.init(true, false, $);
    current_ = this;
  }
  ~ModelEvent() { event_.deinit($); }

  void signal() noexcept { event_.set($); }
  void reset() noexcept {
    if (kBroken != Break::kUsage) event_.reset($);
  }
  int fd() const { return 0; }

  // What the drainer does with fd(): sleeps until it is readable.
  void await_readable() { event_.wait(false, false, $); }
  void reset_late() { event_.reset($); }
  static ModelEvent& current() { return *current_; }

 private:
  static inline ModelEvent* current_ = nullptr;
  rl::generic_event event_;
};

// kUsage: the reset comes after the emptying.
template <Break kBroken>
struct CompletionQueueModel : rl::test_suite<CompletionQueueModel<kBroken>, 3> {
  using Queue = CompletionQueue<Item, RelacyAtomics<kBroken>, ModelEvent<kBroken>>;
  static constexpr unsigned kPushes = 2;

  std::unique_ptr<Queue> queue;

  void before() { queue = std::make_unique<Queue>(); }
  void after() {
    std::vector<Item> items;
    RL_ASSERT(queue->drain(items) == 0);
    queue->push(Item(0));  // one item stays, for the destructor
    queue.reset();
  }

  void thread(unsigned index) {
    if (index < 2) {
      for (unsigned i = 1; i <= kPushes; ++i) queue->push(Item(index << 8 | i));
      return;
    }
    auto& event = ModelEvent<kBroken>::current();
    unsigned last[2] = {};
    while (last[0] + last[1] < 2 * kPushes) {
      event.await_readable();
      std::vector<Item> items;
      items.reserve(2 * kPushes);
      queue->drain(items);
      if (kBroken == Break::kUsage) event.reset_late();
      for (const Item& item : items) {
        unsigned& seen = last[item.number() >> 8];
        RL_ASSERT((item.number() & 0xff) == seen + 1);
        ++seen;
      }
    }
  }
};

}  // namespace
}  // namespace naiad::model

int main() {
  using namespace naiad::model;
  bool ok = check<CompletionQueueModel<Break::kNothing>>("completion queue", 500'000, false);
  ok &= check<CompletionQueueModel<Break::kRelease>>("completion queue without release", 100'000, true);
  ok &= check<CompletionQueueModel<Break::kAcquire>>("completion queue without acquire", 100'000, true);
  ok &= check<CompletionQueueModel<Break::kUsage>>("completion queue that resets late", 100'000, true);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
