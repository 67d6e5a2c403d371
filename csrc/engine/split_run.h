#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "engine/statistics.h"
#include "memory/tensor_pool.h"
#include "request/request.h"
#include "schedule/scheduler.h"

namespace naiad {

// A client's batch that is larger than its model's max_batch_size (split_oversize_batches): queued as parts
// of at most that many rows, each a request like others, and answered when all of them are. The first failure
// is the answer, and cancels the parts that have not run.
class SplitRun final : public CompletionSink, public std::enable_shared_from_this<SplitRun> {
 public:
  // More parts than that are refused when the request is admitted: rows may have no bytes.
  static constexpr std::size_t kMaxParts = 1024;

  // What the run uses of its model. A part that the model's backend has kept may outlive the model, so they
  // are shared.
  struct Surroundings {
    TensorPool& pool;  // a shared one, or one that outlives the run
    const Clock& clock;
    std::shared_ptr<Statistics> statistics;
  };

  SplitRun(std::unique_ptr<Request> request, const Surroundings& around);

  // Queues the parts of an admitted request. On failure nothing of it is queued and the request is the
  // caller's again; it may be answered when this returns. Any thread; never blocks.
  static Status start(std::unique_ptr<Request>& request, Scheduler& scheduler, const Surroundings& around);

  // Of its parts. Any thread.
  void respond(const Request& request, Response response) noexcept override;
  void complete(std::unique_ptr<Request> request, Response response) noexcept override;

 private:
  using Lock = std::unique_lock<std::mutex>;

  Status queue_all(std::unique_ptr<Request>& refused, Scheduler& scheduler);
  std::vector<std::unique_ptr<Request>> make_parts();
  // A part has come home, or all have been queued.
  void arrive(Lock& lock, std::size_t count);
  void end(Lock& lock);
  void fail(Status status, FailureReason reason);
  void count(const Status& status, const Request& request);

  TensorPool& pool_;
  const std::shared_ptr<TensorPool> pool_share_;
  const Clock& clock_;
  const std::shared_ptr<Statistics> statistics_;

  std::mutex mutex_;
  std::shared_ptr<SplitRun> self_;  // while parts are out: they name this sink
  std::unique_ptr<Request> request_;
  CancelScope scope_;
  std::vector<Response> responses_;      // by part
  std::vector<std::uint32_t> num_rows_;  // by part
  std::size_t num_to_come_ = 0;          // parts, and one for who queues them
  Status failure_;
  FailureReason reason_ = FailureReason::kOther;
};

}  // namespace naiad
