#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "execute/backend.h"
#include "execute/call_graph.h"
#include "execute/leases.h"
#include "execute/worker_host.h"
#include "execute/worker_wire.h"
#include "ipc/channel.h"
#include "memory/arena.h"

namespace naiad {

// The worker's side: runs one instance for a server in another process. Its requests are the server's, whose
// tensors it reads where they lie; what its model answers lies in the worker's own arena, which the server
// reads.
class WorkerServer final : private CompletionSink {
 public:
  // Takes the descriptors over but the worker's arena's, which is `pool`'s. Throws Error(kUnavailable).
  WorkerServer(const WorkerFiles& files, TensorPool& pool);
  ~WorkerServer() override;

  // What the server has for this process to read.
  const Arena& server_arena() const { return server_arena_; }

  // Makes the backend and runs what comes, until the server says stop or is gone. The thread of the instance;
  // blocks.
  void serve(const BackendFactory& factory, const std::string& instance_name, const Device& device);

  // Sends a request on to the server: its answer comes home as if the model were here. Any thread; never
  // blocks but for a full channel.
  Status submit(std::unique_ptr<Request>& request);
  // Asks the server for something else; blocks until it has told. Throws Error(kUnavailable) when the server
  // is gone. Any thread.
  std::string ask(const std::string& text);
  // Tells it something. Any thread.
  void tell(const std::string& text);

 private:
  struct Question {
    bool told = false;
    std::string answer;
  };
  struct Pending {
    std::unique_ptr<Request> request;
    bool is_cancelled = false;  // the server knows
  };

  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

  void run(MessageReader& message, Backend& backend);
  std::unique_ptr<Request> read_one(MessageReader& message);
  void send_response(std::uint64_t slot, const Response& response, bool is_last);
  void send(const MessageWriter& message);
  void read_news();
  void handle_answer(MessageReader& message);
  void tell_cancels();
  TensorPlace place(const Tensor& tensor);
  // A tensor of a request (or an answer) of the server's; `share` goes with it.
  Tensor find(const TensorPlace& place, std::size_t size_bytes, const BufferRef& share) const;

  Channel channel_;
  Arena server_arena_;
  TensorPool& pool_;
  // Of this process alone: it numbers the instance, so that its calls say that it waits; the server's own
  // graph refuses those that could never be answered.
  CallGraph instances_;
  const SteadyClock clock_;
  Leases outputs_;
  std::shared_ptr<const ModelSpec> model_;
  std::deque<CancelScope> cancels_;  // by slot: the instance's thread alone makes them
  // The instance's thread, while the batch goes home: others may end requests that are kept meanwhile.
  std::atomic<std::thread::id> completing_{};
  MessageWriter done_;  // of the batch

  std::mutex events_mutex_;  // one writer at a time

  std::mutex mutex_;  // guards what follows
  std::condition_variable told_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, Pending> calls_;
  std::map<std::uint64_t, Question*> questions_;

  std::atomic<bool> stopping_{false};
  std::jthread news_;  // last: it uses all of the above
};

}  // namespace naiad
