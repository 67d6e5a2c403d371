#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "execute/execution.h"
#include "execute/leases.h"
#include "execute/worker_host.h"
#include "execute/worker_wire.h"
#include "ipc/channel.h"
#include "queue/event_fd.h"
#include "request/request.h"

namespace naiad {

// What a server and one worker share; lives as long as a tensor of the worker is out.
struct WorkerMemory {
  explicit WorkerMemory(std::size_t arena_bytes) : arena(arena_bytes) {}

  Channel channel;
  Arena arena;  // the worker's; this side only reads it
};

// The fault of a worker that does not keep to the protocol.
inline constexpr const char* kNonsense = "said what makes no sense and was ended";

// One worker process from its start to its end, as the server sees it: the batches that it runs, the requests
// that it keeps, the calls that its model makes.
class WorkerLife final : public CompletionSink, public std::enable_shared_from_this<WorkerLife> {
 public:
  // `instance`: its number in the CallGraph.
  WorkerLife(const ModelSpec& model, TensorPool& pool, const Clock& clock, WorkerHost& host,
             std::uint64_t instance, std::uint64_t execute_limit_ns);

  // What the process inherits; `server_arena` is a descriptor of the caller's.
  WorkerFiles files() const;
  Channel& channel() { return memory_->channel; }
  EventFd& event() { return event_; }

  // Runs a batch. Throws Error when the worker has ended before its end, or is condemned for it. Instance
  // thread; blocks.
  void run(Execution& execution);
  // It is to be ended, for this: a text that stays, as in "its worker took too long". Any thread.
  void condemn(const char* why) { fault_.store(why, std::memory_order_relaxed); }
  // Null: it is not condemned.
  const char* fault() const { return fault_.load(std::memory_order_relaxed); }
  // Whether it has run a batch to its end. Any thread.
  bool has_served() const { return has_served_.load(std::memory_order_relaxed); }

  enum class News : unsigned char { kNone, kReady, kFailed };
  // Reads what the worker has to say, `most` messages of it; never blocks. Throws Error(kInternal) when it
  // makes no sense. With kFailed, failure() says why. Monitor thread.
  News take_events(std::size_t most);
  const Status& failure() const { return failure_; }
  // What is to be done now and then: tells of cancels, gives back memory, writes what did not fit. Says
  // whether it is to be called again soon. Monitor thread.
  bool tick();
  void order_stop();
  // The process has ended: what it still has fails with this. Monitor thread.
  void ended(const std::string& how);

  // Answers to the calls of its model. Any thread.
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  enum class State : unsigned char { kFree, kInBatch, kKept, kAnswered };
  // A request that the worker has, or whose tensors it still holds.
  struct Slot {
    State state = State::kFree;
    std::size_t k = 0;  // in the batch
    std::shared_ptr<ResponseSender> sender;
    std::vector<BufferRef> held;
  };
  struct Call {
    Request* request = nullptr;  // while it is out
    bool has_names = false;      // the worker knows those of the outputs
    std::shared_ptr<WorkerLife> self;
  };

  // With mutex_ held.
  std::uint32_t take_slot(std::size_t k);
  void collect();
  void write_batch(MessageWriter& message, std::vector<std::uint32_t>& slots, const Execution& execution);
  void keep(Slot& slot, std::uint32_t number);
  // The opposite of keep(): the slot has nothing more to do with the request.
  std::shared_ptr<ResponseSender> let_go(Slot& slot);
  void count_taken(ResponseWindow* window, std::uint32_t number);
  bool finish_batch(std::span<const std::byte> message, const std::vector<std::uint32_t>& slots,
                    Execution& execution);
  void take_response(Execution& execution, std::size_t k, Response response);
  void mark_cancelled(const std::vector<std::uint32_t>& slots, const Execution& execution);

  News handle(std::span<const std::byte> message);
  void handle_response(MessageReader& message);
  void handle_call(MessageReader& message);
  void answer(std::uint64_t number, const ModelSpec* spec, const Response& response, bool is_last,
              bool is_refused);
  void send_news(MessageWriter message);

  TensorPlace place(const Tensor& tensor, std::vector<BufferRef>& held);
  Tensor find(const TensorPlace& place, std::size_t size_bytes);
  bool is_right_type(const Response& response) const;

  const ModelSpec& model_;
  TensorPool& pool_;
  const Clock& clock_;
  WorkerHost& host_;
  const std::uint64_t instance_;
  const std::uint64_t execute_limit_ns_;
  const std::shared_ptr<WorkerMemory> memory_;
  EventFd event_;
  Leases answers_;
  std::atomic<const char*> fault_{nullptr};
  std::atomic<bool> has_served_{false};
  Status failure_;
  std::vector<std::byte> event_message_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable has_ended_;
  std::optional<std::string> end_;
  Execution* execution_ = nullptr;  // while a batch is out
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> used_;
  std::size_t num_kept_ = 0;

  std::mutex calls_mutex_;  // guards what follows; never held while a request is submitted
  std::map<std::uint64_t, Call> calls_;

  std::mutex news_mutex_;  // guards the ring of news and what follows
  std::deque<MessageWriter> unsent_;
};

}  // namespace naiad
