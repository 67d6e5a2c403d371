#include "ipc/channel.h"

#include <array>

namespace naiad {

struct Channel::Layout {
  alignas(64) std::atomic<std::uint32_t> closed;
  std::array<SharedRing::State, 4> states;
  std::array<RequestFlags, kNumSlots> requests;
  std::array<std::atomic<std::uint32_t>, kNumSlots> released;
  std::array<std::atomic<std::uint32_t>, kNumSlots> answers_done;
  std::array<std::array<std::byte, kRingBytes>, 4> rings;
};

std::size_t Channel::size_bytes() {
  return sizeof(Layout);
}

Channel::Layout& Channel::layout() const {
  return *reinterpret_cast<Layout*>(arena_.data());
}

Channel::Channel()
    : arena_(sizeof(Layout)),
      batches_(layout().states[0], layout().rings[0], layout().closed),
      done_(layout().states[1], layout().rings[1], layout().closed),
      news_(layout().states[2], layout().rings[2], layout().closed),
      events_(layout().states[3], layout().rings[3], layout().closed) {}

Channel::Channel(int fd)
    : arena_(fd, sizeof(Layout), Arena::Access::kReadWrite),
      batches_(layout().states[0], layout().rings[0], layout().closed),
      done_(layout().states[1], layout().rings[1], layout().closed),
      news_(layout().states[2], layout().rings[2], layout().closed),
      events_(layout().states[3], layout().rings[3], layout().closed) {}

Channel::RequestFlags& Channel::request(std::size_t slot) {
  return layout().requests[slot];
}

std::atomic<std::uint32_t>& Channel::released(std::size_t slot) {
  return layout().released[slot];
}

std::atomic<std::uint32_t>& Channel::answer_done(std::size_t slot) {
  return layout().answers_done[slot];
}

void Channel::close() {
  layout().closed.store(1, std::memory_order_release);
  for (SharedRing* ring : {&batches_, &done_, &news_, &events_}) ring->wake_all();
}

bool Channel::is_closed() const {
  return layout().closed.load(std::memory_order_acquire) != 0;
}

}  // namespace naiad
