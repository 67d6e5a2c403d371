#pragma once

#include <memory>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// Checks a decoded request against the model it names and fills in what the engine adds: spec, inputs in the
// model's order and shapes, wanted outputs, number of rows. kInvalidArgument with Triton's words for whatever
// does not fit. Any thread.
Status admit(std::shared_ptr<const ModelSpec> spec, Request& request);

}  // namespace naiad
