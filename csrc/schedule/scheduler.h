#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "request/request.h"
#include "schedule/batch.h"

namespace naiad {

// What stands between those who bring requests and the instances of a model: the waiting, the order, and the
// forming of batches.
class Scheduler {
 public:
  Scheduler() = default;
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;
  virtual ~Scheduler() = default;

  // Takes an admitted request, or leaves it and says why not. Any thread; never blocks.
  virtual Status try_submit(std::unique_ptr<Request>& request) = 0;

  // The next batch for the instance at position `instance` of the model's; empty when the scheduler is closed
  // and nothing waits for it any more. Blocks until there is one. Instance thread.
  virtual std::optional<Batch> next(std::size_t instance) = 0;

  // next() for this instance gives an empty batch, without waiting, once: it has something else to see to.
  // Any thread.
  virtual void call_away(std::size_t instance) = 0;

  // How many positions of instances there are; 0: those it was made for and no others. Any thread.
  virtual std::size_t room() const { return 0; }

  // The batch that next() gave has begun to run. Instance thread; once for each batch that has requests.
  virtual void begun() {}

  // A batch has run; its answers are decided. The thread that ran it.
  virtual void ran(const BatchTimes& /*times*/) {}

  // What a batch may wait for company now, where that is not the same at all times. Any thread.
  virtual std::optional<std::uint64_t> found_delay_ns() const { return std::nullopt; }

  // Takes out what waits and whose time is over, where no instance looks for it: they may all be at work.
  // Whether anything that waits has a time at all: then it is to be called again soon. Any thread; never
  // blocks.
  virtual bool sweep(std::vector<DroppedRequest>& /*dropped*/) { return false; }

  // Takes no new requests; what waits is still run (`drain`) or comes out as dropped. Any thread.
  virtual void close(bool drain) = 0;

  // Once it is closed: blocks until nothing that it runs by itself, without an instance, is under way.
  virtual void wait_ended() {}

  // Requests that wait. Any thread.
  virtual std::size_t num_waiting() const = 0;

  // Whether an idle instance would take a request that comes now at once and alone, so that whoever brings it
  // may run it. Any thread.
  virtual bool takes_at_once() const { return false; }
};

}  // namespace naiad
