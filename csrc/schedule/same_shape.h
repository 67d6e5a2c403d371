#pragma once

#include "request/request.h"

namespace naiad {

// Whether two requests of a model may run in one batch: the same inputs present, in the same shape but for
// the number of rows; ragged ones in any, and those that set shapes with the same values. Any thread.
bool batch_together(const Request& a, const Request& b);

}  // namespace naiad
