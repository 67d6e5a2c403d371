#pragma once

#include <cstdint>

#include "base/error.h"
#include "request/request.h"

namespace naiad {

// Why a request left a scheduler without being run. Any thread.
Status cancelled_in_queue();
Status deadline_passed_in_queue();
Status timed_out_in_queue();
Status unloaded_in_queue(const ModelSpec& model);

// The earlier of the deadline that came with the request and of its parameter "timeout", which counts from
// when it is queued; 0: none. Any thread.
std::uint64_t deadline_of(const Request& request);

}  // namespace naiad
