#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "queue/request_queue.h"
#include "schedule/batch.h"
#include "schedule/batch_policy.h"
#include "schedule/scheduler.h"

namespace naiad {

// The queue of a model and the forming of its batches. There is no batcher thread: the idle instance forms
// its own batch, one former at a time. Without dynamic batching each batch is one request.
class DynamicScheduler final : public Scheduler {
 public:
  DynamicScheduler(const ModelSpec& model, const Clock& clock);

  // Queues an admitted request, or leaves it and says why not. A request that its deadline, or its timeout,
  // finds waiting comes out as dropped. Any thread; never blocks.
  Status try_submit(std::unique_ptr<Request>& request) override;

  // Every instance takes from the same queue.
  std::optional<Batch> next(std::size_t instance) override;

  // The batch that can be formed now, if one can. Waits for another former only.
  std::optional<Batch> try_next();

  void close(bool drain) override;
  std::size_t num_waiting() const override { return queue_.num_waiting(); }
  void begun() override { num_taken_.fetch_sub(1, std::memory_order_seq_cst); }

  // When nothing waits, nothing that was taken has yet to begin, and the policy waits for no company.
  bool takes_at_once() const override {
    return rules_.max_delay_ns == 0 && queue_.num_waiting() == 0 &&
           num_taken_.load(std::memory_order_seq_cst) == 0 && !queue_.closed();
  }

 private:
  // All with former_ held.
  std::optional<Batch> form(std::optional<std::uint64_t>& wait_until_ns);
  // Fills head_ with the requests at the front that may share a batch and moves dead ones out of the way;
  // false when the batch cannot grow by waiting.
  bool look_ahead(std::uint64_t now_ns, std::vector<DroppedRequest>& dropped);
  Batch take(std::size_t count, std::vector<DroppedRequest> dropped);
  bool finished() const;

  const ModelSpec& model_;
  const Clock& clock_;
  const BatchRules rules_;
  RequestQueue queue_;
  // Batches between next() and begun(). Raised before the requests stop counting as waiting, so that
  // takes_at_once() sees them in one of the two.
  std::atomic<std::size_t> num_taken_{0};
  std::atomic<bool> discard_{false};  // close(drain = false): read by the former after the queue woke it

  std::mutex former_;  // held by the instance that forms a batch, also while it waits for requests
  std::deque<std::unique_ptr<Request>> pending_;  // popped from queue_, oldest first
  std::vector<WaitingRequest> head_;              // scratch of form()
  std::uint64_t first_deadline_ns_ = 0;           // the earliest of those in head_; 0 = none
};

}  // namespace naiad
