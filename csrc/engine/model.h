#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "engine/statistics.h"
#include "execute/model_instance.h"
#include "schedule/dynamic_scheduler.h"

namespace naiad {

// One instance to make of a model.
struct InstancePlan {
  std::string name;
  Device device;
};

// A running version of a model: its queue, its instances, its counters.
class Model final : private InstanceObserver {
 public:
  // Loads all instances, in parallel; blocks until they stand, throws what the first one that failed threw.
  Model(ModelSpec spec, const BackendFactory& factory, const std::vector<InstancePlan>& instances,
        TensorPool& pool, const Clock& clock);
  // Stops without draining.
  ~Model() override;

  const ModelSpec& spec() const { return *spec_; }

  // Checks the request against the model and queues it; on failure the request stays with the caller. Any
  // thread; never blocks.
  Status submit(std::unique_ptr<Request>& request);

  // Refuses new requests, runs what waits (`drain`) or fails it, and ends the instances. Blocks until they
  // have ended; idempotent. Any thread but an instance's own.
  void stop(bool drain);

  // Any thread.
  std::size_t num_waiting() const { return scheduler_.num_waiting(); }
  StatisticsValues statistics() const { return statistics_.values(); }

 private:
  void ran(const Execution& execution) override;
  void dropped(const DroppedRequest& dropped) override;

  const std::shared_ptr<const ModelSpec> spec_;
  const Clock& clock_;
  Statistics statistics_;
  DynamicScheduler scheduler_;
  std::mutex stopping_;
  std::vector<std::unique_ptr<ModelInstance>> instances_;  // last: their threads use all of the above
};

}  // namespace naiad
