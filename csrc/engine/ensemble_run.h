#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/ensemble_plan.h"
#include "request/request.h"

namespace naiad {

class ResponseWindow;

// One request on its way through the graph of an ensemble: steps are submitted as soon as all that they read
// is there, tensors go from one to the next by reference. Whichever thread brings an answer goes on with the
// graph; the lock is not held while steps are submitted, since a short one may run at once.
//
// A decoupled step answers many times. Each of its responses goes on down the graph in a lane of its own,
// which knows what was made before; what a step makes besides is made known to all lanes. Lanes are answered
// in the order in which they began.
class EnsembleRun final : public CompletionSink, public std::enable_shared_from_this<EnsembleRun> {
 public:
  // Queues a step's request at its model, or leaves it and says why not; as Engine::submit.
  using Submit = std::function<Status(std::unique_ptr<Request>&)>;
  // The models of its steps.
  struct Models {
    Submit submit;
    // Whether a model reads an input on a GPU, now; as Engine::reads_on_gpu. None: no model does.
    std::function<bool(std::string_view model, std::string_view input)> reads_on_gpu{};
  };
  // What a run came to, for the statistics.
  struct Outcome {
    Status status;
    std::uint64_t received_ns = 0;
    std::uint32_t num_rows = 1;
    std::uint64_t queue_ns = 0;  // of all steps together, as what follows
    ComputeTimes computed;
    const Trace* trace = nullptr;  // of the request; null: it is not traced
  };
  using Ended = std::function<void(const Outcome&)>;

  // Plan, order and models outlive the run. `ended` is called before the request goes home.
  EnsembleRun(const EnsemblePlan& plan, const EnsembleOrder& order, const Models& models, const Clock& clock,
              Ended ended, std::unique_ptr<Request> request);

  // Submits the first steps. It may be over when this returns. Any thread; once.
  void start();

  // Of its steps. Any thread.
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  enum class State : unsigned char { kWaiting, kOut, kDone };

  struct Lane {
    std::vector<Tensor> tensors;
    std::vector<std::size_t> left;  // by step: producers that it waits for
    std::vector<State> states;
    std::vector<bool> owned;  // by step: runs for this lane; the others run for the one that it began in
    Lane* parent = nullptr;
    std::size_t num_undone = 0;              // steps that are not done
    bool spawns = false;                     // its responses are those of other lanes
    std::shared_ptr<ResponseWindow> window;  // of the response that it began with
    std::size_t begun_bytes = 0;
  };
  struct Ready {
    Lane* lane;
    std::size_t step;
  };

  using Lock = std::unique_lock<std::mutex>;

  // Goes on as far as it can, and ends the run when nothing is left.
  void advance(Lock& lock);
  void submit(Ready ready, Lock& lock);
  std::unique_ptr<Request> make_request(Ready ready);
  // Whether it may be left on the GPU that makes it: all who read it do so on one.
  bool stays_on_gpu(std::size_t tensor) const;
  // Lets go of what the step was the last one to read: it may be memory of a GPU.
  void drop_read(Lane& lane, const EnsemblePlan::Step& step);
  bool is_skipped(const Lane& lane, const EnsemblePlan::Step& step) const;
  // The step has made these tensors (none of them: it was skipped) in the lane and in those that began in it.
  void settle(Lane& lane, std::size_t step, const std::vector<Tensor>& made);
  // Another lane goes on with a response of the step.
  void spawn(Lane& lane, std::size_t step, const Request& request, Response& response);
  // The step has answered for the last time, with responses before: nothing behind it runs in this lane.
  void exhaust(Lane& lane, std::size_t step);
  void fail(std::optional<std::size_t> step, const Status& status);
  void deliver(Lock& lock);
  Response response_of(const Lane& lane) const;
  void release_windows();
  void end(Lock& lock);
  std::vector<Tensor> tensors_of(std::size_t step, const std::vector<OutputTensor>& outputs,
                                 const ModelSpec& spec) const;

  const EnsemblePlan& plan_;
  const EnsembleOrder& order_;
  const Models& models_;
  const Clock& clock_;
  const Ended ended_;

  std::mutex mutex_;
  std::shared_ptr<EnsembleRun> self_;  // from start() to end(): requests that are out name this sink
  std::unique_ptr<Request> request_;
  const std::shared_ptr<const ModelSpec> spec_;
  CancelScope scope_;
  std::list<Lane> lanes_;
  std::vector<Ready> slots_;  // by tag: what is out
  std::vector<std::size_t> free_slots_;
  std::deque<Ready> ready_;
  std::vector<std::deque<Ready>> limited_;  // by step: ready, but too many of it are out
  std::vector<std::size_t> num_out_;        // by step
  std::size_t num_outstanding_ = 0;
  Status failure_;
  bool delivering_ = false;
  bool over_ = false;
  Outcome outcome_;
  // Responses that were given to the client; their makers are told when the client is not behind.
  std::vector<std::pair<std::shared_ptr<ResponseWindow>, std::size_t>> unreleased_;
};

}  // namespace naiad
