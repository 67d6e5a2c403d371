#include "schedule/make_scheduler.h"

#include "schedule/dynamic_scheduler.h"
#include "schedule/sequence_scheduler.h"

namespace naiad {

std::unique_ptr<Scheduler> make_scheduler(const ModelSpec& model, const Clock& clock,
                                          std::size_t num_instances) {
  if (model.sequence) return std::make_unique<SequenceScheduler>(model, clock, num_instances);
  return std::make_unique<DynamicScheduler>(model, clock, num_instances);
}

}  // namespace naiad
