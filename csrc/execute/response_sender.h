#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "memory/tensor_pool.h"
#include "request/request.h"

namespace naiad {

// Who counts the responses of requests that are answered by a sender. It outlives the model if a sender does.
class ResponseObserver {
 public:
  virtual ~ResponseObserver() = default;

  // One response was given.
  struct Given {
    std::size_t place = 0;       // the how manieth of its request, from 0
    std::uint64_t spent_ns = 0;  // since the model began with the request, or since the response before
    Code code = Code::kOk;
    bool is_empty = false;
    bool is_last = false;
    std::uint64_t received_ns = 0;  // when the request came
    bool is_part = false;           // of a batch that was split, which is what counts as a request
    const Trace* trace = nullptr;   // of the request; null: it is not traced
  };
  // Any thread.
  virtual void responded(const Given& given) = 0;
};

// A block for an output; throws Error(kUnavailable) when the pool is exhausted. Any thread.
BufferRef allocate_output(TensorPool& pool, std::size_t size_bytes);

// Answers one request that a model has kept beyond execute(): with any number of responses when the model is
// decoupled, with one otherwise. Destroyed before the last one, it fails the request. Any thread, also
// several.
class ResponseSender {
 public:
  // `observer` may be null. The pool outlives the sender, or is a shared one.
  ResponseSender(std::unique_ptr<Request> request, TensorPool& pool, const Clock& clock,
                 std::shared_ptr<ResponseObserver> observer);
  ~ResponseSender();
  ResponseSender(const ResponseSender&) = delete;
  ResponseSender& operator=(const ResponseSender&) = delete;

  const ModelSpec& model() const { return *model_; }
  // Whether the client has gone or taken the request back.
  bool cancelled() const;
  // Where its outputs are to lie.
  TensorPool& pool() { return pool_; }

  // Gives a response, whose tensors are in the model's own shapes; with a failed status that is what the
  // client gets. kInvalidArgument when the last one has been given, or a second one to a model that is not
  // decoupled. Blocks while too much is on its way to the client.
  Status send(Response response, bool is_last);
  // The same for who must not wait.
  Status send_now(Response response, bool is_last);
  // Of what is on its way to the client; null when the one response is all there is.
  std::shared_ptr<ResponseWindow> window() const;
  // The model ends: the request fails, whoever waits in send() comes back, and nothing but this object is
  // used by calls that come later. Blocks until they are out.
  void abandon();
  // Gives the request back to the scheduler of an iterative model, to be run again: another sender goes on
  // with its responses. kInvalidArgument when the last one has been given.
  Status reschedule();
  // There are no more responses. kInvalidArgument when that has been said.
  Status finish();

 private:
  Status send_waiting(Response response, bool is_last, bool waits);
  // With sending_ held.
  void give_up(const std::string& why);
  void give(Response response, bool is_last);
  std::unique_ptr<Request> let_go();
  static Status ended();

  const std::shared_ptr<const ModelSpec> model_;
  TensorPool& pool_;
  const std::shared_ptr<TensorPool> pool_share_;
  const Clock& clock_;
  const std::shared_ptr<ResponseObserver> observer_;

  std::mutex sending_;  // held for the time of send(), waiting included; whoever ends the request has it
  mutable std::mutex mutex_;          // guards request_ and was_cancelled_ against cancelled()
  std::unique_ptr<Request> request_;  // null once it has gone home
  bool was_cancelled_ = false;
  std::optional<Response> held_;  // the one response, of a model that is not decoupled, until its end
  std::uint64_t mark_ns_;
};

}  // namespace naiad
