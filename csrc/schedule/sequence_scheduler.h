#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "schedule/batch_policy.h"
#include "schedule/response_order.h"
#include "schedule/scheduler.h"
#include "schedule/sequence.h"
#include "schedule/sequence_inputs.h"

namespace naiad {

// Requests that belong together in sequences: those of one run in their order, one after the other, on the
// same instance. Each sequence has a slot of that instance while it lasts; where there is none it waits in
// the backlog for one. Of Triton's two strategies (model_configuration.md, "Sequence Batcher"):
//  - direct: the slot is a row of the batch. A batch spans the rows up to the last one that has a
//    request; where another one has none, a filler stands that is not READY.
//  - oldest: the slots are candidates, whose requests are batched by the rule of decide_batch. With
//    preserve_ordering answers go home in the order in which their requests came or got their slot: not in
//    that of the backlog, as who waits there may wait for a client that waits for its answer.
// A sequence is over when its request with END has run, when it had no request for max_idle_ns, or when one
// of its requests was cancelled or came too late: what would follow has lost its context. A START for a
// sequence that has not ended begins another one, which waits until the old one's requests have run.
class SequenceScheduler final : public Scheduler, private CompletionSink {
 public:
  // `model.sequence` is given; `model` and `clock` outlive it.
  SequenceScheduler(const ModelSpec& model, const Clock& clock, std::size_t num_instances);

  // kInvalidArgument also for a request that belongs to no sequence that is known.
  Status try_submit(std::unique_ptr<Request>& request) override;
  std::optional<Batch> next(std::size_t instance) override;
  void call_away(std::size_t instance) override;
  // The batch that can be formed now, if one can.
  std::optional<Batch> try_next(std::size_t instance);
  bool sweep(std::vector<DroppedRequest>& dropped) override;
  void close(bool drain) override;
  std::size_t num_waiting() const override { return num_waiting_.load(std::memory_order_relaxed); }

  // Sequences that have begun and are not over. Any thread.
  std::size_t num_sequences() const;

 private:
  using Shared = std::shared_ptr<Sequence>;

  struct Instance {
    std::condition_variable changed;
    std::vector<Shared> slots;  // null: free
    std::vector<DroppedRequest> dropped;
    bool is_called_away = false;
  };

  // Of the requests that are with the model.
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

  // All with mutex_ held.
  std::optional<Batch> form(std::size_t instance, std::optional<std::uint64_t>& wait_until_ns);
  // Ends what is idle for too long or has lost a request; moves the earliest time to look again to
  // `wait_until_ns`.
  void tidy(Instance& instance, std::uint64_t now_ns, std::optional<std::uint64_t>& wait_until_ns);
  void tidy_backlog(Instance& instance, std::uint64_t now_ns, std::optional<std::uint64_t>& wait_until_ns);
  std::optional<Batch> form_direct(Instance& instance, std::uint64_t now_ns,
                                   std::optional<std::uint64_t>& wait_until_ns);
  std::optional<Batch> form_oldest(Instance& instance, std::uint64_t now_ns,
                                   std::optional<std::uint64_t>& wait_until_ns);
  std::unique_ptr<Request> take(const Shared& sequence);
  // Gives the free slots to those in the backlog.
  void fill_slots();
  std::optional<std::size_t> free_slot() const;
  void start_over(const Shared& old, const Shared& sequence);
  // No request of it will run any more; those that wait leave by the instance.
  void end(const Shared& sequence, const Status& status, Instance& instance);
  // Lets go of it once nothing of it is left.
  void release_if_over(const Shared& sequence);
  bool is_stale(const Sequence& sequence, std::uint64_t now_ns) const;
  Instance& instance_of(const Sequence& sequence) {
    return *instances_[*sequence.slot / slots_per_instance_];
  }
  void wake_all();

  const ModelSpec& model_;
  const SequenceSpec& spec_;
  const Clock& clock_;
  const BatchRules rules_;
  const std::size_t slots_per_instance_;
  std::atomic<std::size_t> num_waiting_{0};  // changed with mutex_ held; pairs with nothing

  mutable std::mutex mutex_;  // guards all below
  SequenceInputs inputs_;
  const std::unique_ptr<ResponseOrder> order_;  // null: answers go home as they come
  std::vector<std::unique_ptr<Instance>> instances_;
  std::map<SequenceKey, Shared> sequences_;  // the youngest of each id
  std::size_t num_sequences_ = 0;
  std::deque<Shared> backlog_;        // have requests and no slot, oldest first
  std::uint64_t backlog_due_ns_ = 0;  // no deadline of theirs is earlier; 0: none
  std::unordered_map<const Request*, Shared> in_flight_;
  std::uint64_t num_made_ = 0;  // ids given to requests that are sequences of their own
  bool closed_ = false;
  bool discard_ = false;
};

}  // namespace naiad
