#pragma once

#include <cstddef>
#include <memory>

#include "base/clock.h"
#include "schedule/scheduler.h"

namespace naiad {

// The scheduler that the model's configuration asks for. `model` and `clock` outlive it. Any thread.
std::unique_ptr<Scheduler> make_scheduler(const ModelSpec& model, const Clock& clock,
                                          std::size_t num_instances);

}  // namespace naiad
