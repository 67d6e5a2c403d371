#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "request/trace.h"

namespace naiad {

// Where the record of one request comes to that is traced for who asked it, whatever the settings. Any
// thread.
class TraceWatch {
 public:
  void put(TraceRecord record);
  // Waits until nothing is left of the request; empty when that takes longer.
  std::optional<TraceRecord> take(std::uint64_t timeout_ns);

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable told_;
  std::optional<TraceRecord> record_;
};

}  // namespace naiad
