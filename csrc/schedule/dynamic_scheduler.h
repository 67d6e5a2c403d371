#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "queue/request_queue.h"
#include "schedule/adaptive_delay.h"
#include "schedule/batch.h"
#include "schedule/batch_policy.h"
#include "schedule/response_order.h"
#include "schedule/scheduler.h"
#include "schedule/waiting_line.h"

namespace naiad {

// The queue of a model and the forming of its batches. There is no batcher thread: the idle instance forms
// its own batch, one former at a time. Without dynamic batching each batch is one request.
//
// A batch holds requests of one shape. It is begun by the first in line, and those of its shape behind it
// join, past others that fit not; those get a batch of their own, which may go first only when the first
// one's waits for company and theirs need not.
class DynamicScheduler final : public Scheduler {
 public:
  DynamicScheduler(const ModelSpec& model, const Clock& clock, std::size_t num_instances = 1);

  // Queues an admitted request, or leaves it and says why not. A request that its deadline, or its timeout,
  // finds waiting comes out as dropped. Any thread; never blocks.
  Status try_submit(std::unique_ptr<Request>& request) override;

  // Every instance takes from the same queue.
  std::optional<Batch> next(std::size_t instance) override;
  void call_away(std::size_t instance) override;
  std::size_t room() const override { return called_away_.size(); }

  // The batch that can be formed now, if one can. Waits for another former only.
  std::optional<Batch> try_next();

  bool sweep(std::vector<DroppedRequest>& dropped) override;

  void close(bool drain) override;
  std::size_t num_waiting() const override { return queue_.num_waiting(); }
  void begun() override { num_taken_.fetch_sub(1, std::memory_order_seq_cst); }
  void ran(const BatchTimes& times) override {
    if (adaptive_) adaptive_->ran(times);
  }
  std::optional<std::uint64_t> found_delay_ns() const override {
    if (!adaptive_) return std::nullopt;
    return adaptive_->delay_ns();
  }

  // When nothing waits, nothing that was taken has yet to begin, the policy waits for no company, and no
  // order of answers is to be kept.
  bool takes_at_once() const override {
    return !may_wait_ && order_ == nullptr && queue_.num_waiting() == 0 &&
           num_taken_.load(std::memory_order_seq_cst) == 0 && !queue_.closed();
  }

 private:
  using Place = WaitingLine::Place;

  // One priority.
  struct Level {
    QueuePolicy policy;
    std::atomic<std::size_t> num_waiting{0};  // pairs with nothing: a bound that may be missed by a moment
  };
  // Requests of one shape that may run together.
  struct Group {
    std::vector<Place> places;
    bool can_grow = false;
  };

  std::size_t level_of(const Request& request) const;

  // All with former_ held.
  std::optional<Batch> form(std::optional<std::uint64_t>& wait_until_ns);
  void take_in();
  // Takes what is dead out of the line, where something may be: all of it when a deadline has passed.
  void drop_dead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped);
  // Whether the request at the place is dead; then it has been dropped, or moved, and the place is the next
  // one's.
  bool is_dead(Place& place, std::uint64_t now_ns, std::vector<DroppedRequest>& dropped);
  void look_ahead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped);
  // Those that may run with the one at `seed`, into group_.
  void gather(Place seed);
  // Leaves in group_ the places of the batch to take, by the policy; none: wait.
  void choose(std::uint64_t now_ns, std::optional<std::uint64_t>& wait_until_ns);
  // What group_ names.
  Batch take(std::vector<DroppedRequest> dropped);
  void forget(const Request& request, std::size_t level);
  void note_due(const Request& request);
  bool finished() const;

  const ModelSpec& model_;
  const Clock& clock_;
  BatchRules rules_;                               // with former_ held, but for max_rows
  const std::unique_ptr<AdaptiveDelay> adaptive_;  // null: the delay is what the model says
  const bool may_wait_;                            // for company
  const std::size_t reach_;                        // how many requests are looked at for a batch
  std::vector<Level> levels_;
  const std::unique_ptr<ResponseOrder> order_;  // null: answers go home as they come
  RequestQueue queue_;
  // Batches between next() and begun(). Raised before the requests stop counting as waiting, so that
  // takes_at_once() sees them in one of the two.
  std::atomic<std::size_t> num_taken_{0};
  std::atomic<std::size_t> num_timed_{0};       // that wait with a deadline: a hint for sweep()
  std::vector<std::atomic<bool>> called_away_;  // by instance
  std::atomic<bool> discard_{false};  // close(drain = false): read by the former after the queue woke it

  std::mutex former_;  // held by the instance that forms a batch, also while it waits for requests
  WaitingLine line_;   // popped from queue_
  Group group_;        // scratch of choose(), as are these
  std::vector<WaitingRequest> head_;
  std::vector<const Request*> tried_;
  std::uint64_t first_due_ns_ = 0;  // no deadline in line_ is earlier; 0: none
};

}  // namespace naiad
