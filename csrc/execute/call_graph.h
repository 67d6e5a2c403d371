#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "request/call_ticket.h"

namespace naiad {

class Execution;

// Who waits for whom among the instances whose models call other models: an instance waits for its calls, a
// call for the instance that runs it, or, while it is queued, for any instance of its model. A call whose
// answer could never come, because all who could give it wait for one another, is refused. Any thread.
class CallGraph {
 public:
  // A version of a model, by its name.
  using Target = std::pair<std::string, std::int64_t>;

  // An instance that may make calls; its number is never 0 and never used again.
  std::uint64_t add_instance(const Target& model);
  void remove_instance(std::uint64_t instance);

  // `caller` calls and waits until the ticket is gone; 0: somebody whom nobody waits for. `targets`: the
  // model, or all those of an ensemble's steps. kUnavailable when it would wait for ever.
  Status begin(std::uint64_t caller, std::vector<Target> targets, std::shared_ptr<const CallTicket>& ticket);

  // The instance runs a request of this call, or of one that the call has led to.
  void running(std::uint64_t instance, std::uint64_t call);
  // It has done so: the answer is on its way, or comes from another thread of the model.
  void left(std::uint64_t instance, std::uint64_t call);

 private:
  class Ticket;
  struct Call {
    std::uint64_t caller = 0;
    std::vector<Target> targets;         // less those that have run it
    std::vector<std::uint64_t> running;  // instances
  };
  struct Instance {
    Target model;
    std::vector<std::uint64_t> calls;  // those that it waits for
  };

  void end(std::uint64_t call);
  // With mutex_ held: the instances that wait for one another for ever.
  bool is_stuck(std::uint64_t instance) const;

  mutable std::mutex mutex_;
  std::uint64_t last_number_ = 0;
  std::map<std::uint64_t, Instance> instances_;
  std::map<std::uint64_t, Call> calls_;
};

// The requests of a batch that models have made, while an instance runs it.
class CalledBatch {
 public:
  // `graph` may be null.
  CalledBatch(CallGraph* graph, std::uint64_t instance, const Execution& execution);
  ~CalledBatch();
  CalledBatch(const CalledBatch&) = delete;
  CalledBatch& operator=(const CalledBatch&) = delete;

 private:
  CallGraph* const graph_;
  const std::uint64_t instance_;
  std::vector<std::shared_ptr<const CallTicket>> calls_;
};

}  // namespace naiad
