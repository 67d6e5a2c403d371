#include "io/in_flight.h"

#include <poll.h>

#include <atomic>
#include <limits>
#include <thread>
#include <utility>

#include "queue/event_fd.h"
#include "request/response_window.h"

namespace naiad {
namespace {

// Each home-coming wakes the loop by EventLoop::wake(), not by a descriptor.
struct NoEvent {
  void signal() noexcept {}
  void reset() noexcept {}
  int fd() const { return -1; }
};

struct Home {
  std::unique_ptr<Request> request;  // null: one of several responses to the request of that tag
  std::uint64_t tag = 0;
  Response response;
};

// Set in State::completing by the destructor; the bits below it count.
constexpr std::uint32_t kClosing = std::uint32_t{1} << 31;

}  // namespace

struct InFlight::State {
  // A request that is out, or a free place.
  struct Place {
    Request* request = nullptr;  // null: free
    Taker* taker = nullptr;      // null: abandoned
    std::uint64_t mark = 0;
    std::uint32_t generation = 0;
    std::uint32_t next = kNoPlace;    // of the taker's list, or of the free list
    std::uint32_t before = kNoPlace;  // of the taker's list
  };

  explicit State(EventLoop& event_loop) : loop(event_loop) {}

  // The place that a tag names; kNoPlace when that request is not out.
  std::uint32_t find(std::uint64_t tag) const {
    const auto index = static_cast<std::uint32_t>(tag);
    if (index >= places.size() || places[index].request == nullptr || places[index].generation != tag >> 32) {
      return kNoPlace;
    }
    return index;
  }
  void unlink(std::uint32_t index, std::uint32_t& first);
  void release(std::uint32_t index);
  void bring(Home home) noexcept;
  void arrive();

  EventLoop& loop;
  std::vector<Place> places;
  std::uint32_t first_free = kNoPlace;
  std::vector<Home> homes;  // drained, being delivered
  CompletionQueue<Home, StdAtomics, NoEvent> queue;
  std::atomic<std::size_t> size{0};  // a count only: pairs with nothing
  // How many threads are inside complete(); the destructor's kClosing pairs with each one's increment: one
  // that comes after it signals all_home, one that came before it is waited for.
  alignas(kCacheLineBytes) std::atomic<std::uint32_t> completing{0};
  EventFd all_home;
};

void InFlight::State::unlink(std::uint32_t index, std::uint32_t& first) {
  const Place& place = places[index];
  (place.before == kNoPlace ? first : places[place.before].next) = place.next;
  if (place.next != kNoPlace) places[place.next].before = place.before;
}

void InFlight::State::release(std::uint32_t index) {
  Place& place = places[index];
  place.request = nullptr;
  place.taker = nullptr;
  ++place.generation;
  place.next = first_free;
  first_free = index;
  size.fetch_sub(1, std::memory_order_relaxed);
}

InFlight::InFlight(EventLoop& loop) : state_(std::make_unique<State>(loop)) {
  loop.watch_wakes(*this);
}

InFlight::~InFlight() {
  State& state = *state_;
  state.loop.forget_wakes(*this);
  for (const State::Place& place : state.places) {
    if (place.request != nullptr) place.request->cancelled.store(true, std::memory_order_relaxed);
  }
  state.completing.fetch_or(kClosing, std::memory_order_acq_rel);
  // Those who do not know yet that someone waits are about to leave.
  while (state.completing.load(std::memory_order_acquire) != kClosing) std::this_thread::yield();
  while (true) {
    state.all_home.reset();
    state.queue.drain(state.homes);
    for (const Home& home : state.homes) {
      if (home.request) state.release(static_cast<std::uint32_t>(home.tag));
    }
    state.homes.clear();
    if (state.size.load(std::memory_order_relaxed) == 0) break;
    pollfd waiting{state.all_home.fd(), POLLIN, 0};
    static_cast<void>(poll(&waiting, 1, -1));
  }
  // The last one may still be on its way out of complete().
  while (state.completing.load(std::memory_order_acquire) != kClosing) std::this_thread::yield();
}

void InFlight::add(Request& request, Taker& taker, std::uint64_t mark) {
  State& state = *state_;
  if (state.first_free == kNoPlace) {
    state.first_free = static_cast<std::uint32_t>(state.places.size());
    state.places.emplace_back();
  }
  const std::uint32_t index = state.first_free;
  State::Place& place = state.places[index];
  state.first_free = place.next;
  place.request = &request;
  place.taker = &taker;
  place.mark = mark;
  place.before = kNoPlace;
  place.next = std::exchange(taker.first_, index);
  if (place.next != kNoPlace) state.places[place.next].before = index;
  request.sink = this;
  request.tag = std::uint64_t{place.generation} << 32 | index;
  state.size.fetch_add(1, std::memory_order_relaxed);
}

void InFlight::remove(const Request& request) {
  State& state = *state_;
  const std::uint32_t index = state.find(request.tag);
  if (index == kNoPlace) return;
  State::Place& place = state.places[index];
  if (place.taker != nullptr) state.unlink(index, place.taker->first_);
  state.release(index);
}

void InFlight::abandon(const Taker& taker) {
  State& state = *state_;
  for (std::uint32_t index = taker.first_; index != kNoPlace;) {
    State::Place& place = state.places[index];
    place.request->cancelled.store(true, std::memory_order_relaxed);
    place.taker->first_ = kNoPlace;
    place.taker = nullptr;
    index = place.next;
  }
}

void InFlight::abandon(const Taker& taker, std::uint64_t mark) {
  State& state = *state_;
  for (std::uint32_t index = taker.first_; index != kNoPlace;) {
    State::Place& place = state.places[index];
    const std::uint32_t next = place.next;
    if (place.mark == mark) {
      place.request->cancelled.store(true, std::memory_order_relaxed);
      state.unlink(index, place.taker->first_);
      place.taker = nullptr;
    }
    index = next;
  }
}

void InFlight::give_up(const Status& status) {
  State& state = *state_;
  // By index: an answer may add requests and abandon others.
  for (std::size_t index = 0; index < state.places.size(); ++index) {
    State::Place& place = state.places[index];
    if (place.request == nullptr || place.taker == nullptr) continue;
    place.request->cancelled.store(true, std::memory_order_relaxed);
    Taker* const taker = std::exchange(place.taker, nullptr);
    state.unlink(static_cast<std::uint32_t>(index), taker->first_);
    // The request itself comes home later; what an answer says of it is its id.
    auto stand_in = std::make_unique<Request>();
    stand_in->id = place.request->id;
    Response response;
    response.status = status;
    taker->on_answer(place.mark, std::move(stand_in), std::move(response));
  }
}

std::size_t InFlight::size() const {
  return state_->size.load(std::memory_order_relaxed);
}

void InFlight::respond(const Request& request, Response response) noexcept {
  state_->bring({nullptr, request.tag, std::move(response)});
}

void InFlight::complete(std::unique_ptr<Request> request, Response response) noexcept {
  const std::uint64_t tag = request->tag;
  state_->bring({std::move(request), tag, std::move(response)});
}

void InFlight::State::bring(Home home) noexcept {
  // Acquire: pairs with the destructor's kClosing.
  const std::uint32_t before = completing.fetch_add(1, std::memory_order_acquire);
  queue.push(std::move(home));
  if ((before & kClosing) != 0) {
    all_home.signal();
  } else {
    loop.wake();
  }
  // Release: pairs with the destructor's loads; all of the above is done with the state.
  completing.fetch_sub(1, std::memory_order_release);
}

void InFlight::on_events(std::uint32_t /*events*/) {
  state_->arrive();
}

// Takes all that has come home, then looks each taker up when it is its turn: one that an earlier answer
// caused to be abandoned is told nothing.
void InFlight::State::arrive() {
  queue.drain(homes);
  for (Home& home : homes) {
    const std::uint32_t index = find(home.tag);
    if (index == kNoPlace) continue;  // removed, though it was out: nobody waits
    Taker* const taker = places[index].taker;
    if (!home.request) {
      Request& request = *places[index].request;
      if (taker != nullptr) {
        taker->on_response(places[index].mark, request, std::move(home.response));
      } else {
        request.window->taken(home.response.size_bytes());
      }
      continue;
    }
    const std::uint64_t mark = places[index].mark;
    if (taker != nullptr) unlink(index, taker->first_);
    release(index);
    if (taker == nullptr) {
      home.request.reset();
      home.response = {};
      continue;
    }
    taker->on_answer(mark, std::move(home.request), std::move(home.response));
  }
  homes.clear();
}

}  // namespace naiad
