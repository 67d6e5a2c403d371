#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "io/event_loop.h"
#include "queue/completion_queue.h"
#include "request/request.h"

namespace naiad {

// The requests that one I/O thread has out, and their way back to the connection they came from. A place in
// a table, not a search: the tag is the index and a generation.
class InFlight final : public CompletionSink, private EventLoop::Watcher {
 public:
  static constexpr std::uint32_t kNoPlace = 0xffff'ffff;

  // A connection that waits for answers.
  class Taker {
   public:
    Taker() = default;
    // Abandoned before, or nothing of it is out.
    virtual ~Taker() = default;
    Taker(const Taker&) = delete;
    Taker& operator=(const Taker&) = delete;
    // The answer to the request that was added with `mark`. Answers come in the order of their completion. It
    // may add, remove and abandon requests of any taker, and destroy takers that were abandoned. I/O thread.
    virtual void on_answer(std::uint64_t mark, std::unique_ptr<Request> request, Response response) = 0;
    // A response to a request that will have more, before its answer; request.window is told by the taker
    // when the client has taken it. May do what on_answer() may. I/O thread.
    virtual void on_response(std::uint64_t mark, const Request& request, Response response) = 0;

   private:
    friend class InFlight;
    std::uint32_t first_ = kNoPlace;  // its requests that are out: a list through the table
  };

  explicit InFlight(EventLoop& loop);
  // Cancels what is out, and blocks until it has come home: requests name this sink. Takers are told nothing.
  // The loop does not run any more, or this is its thread.
  ~InFlight() override;

  // Notes the request and sets its sink and tag; call before it is submitted. I/O thread.
  void add(Request& request, Taker& taker, std::uint64_t mark);
  // The request was refused: it will not come home. I/O thread.
  void remove(const Request& request);
  // The connection is gone: its requests are cancelled, their answers will be dropped. I/O thread.
  void abandon(const Taker& taker);
  // One request is cancelled, its answer will be dropped. I/O thread.
  void abandon(const Taker& taker, std::uint64_t mark);

  // Every request that is out is cancelled and answered with `status`, in place of its own answer. I/O
  // thread.
  void give_up(const Status& status);

  // Requests that are out, abandoned ones included. Any thread.
  std::size_t size() const;

  // Any thread.
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  struct State;
  void on_events(std::uint32_t events) override;
  std::unique_ptr<State> state_;
};

}  // namespace naiad
