#pragma once

#include <memory>

#include "base/error.h"
#include "memory/gpu.h"

// What a Gpu gives, or the test fails.
namespace naiad::test {

inline std::unique_ptr<GpuStream> stream_of(Gpu& gpu, StreamPriority priority = StreamPriority::kDefault) {
  std::unique_ptr<GpuStream> stream;
  if (const Status status = gpu.make_stream(priority, stream); !status.ok()) throw Error(status);
  return stream;
}

inline std::unique_ptr<GpuEvent> event_of(Gpu& gpu) {
  std::unique_ptr<GpuEvent> event;
  if (const Status status = gpu.make_event(event); !status.ok()) throw Error(status);
  return event;
}

inline std::unique_ptr<GpuAllocation> allocation_of(Gpu& gpu, std::size_t size_bytes) {
  std::unique_ptr<GpuAllocation> allocation;
  if (const Status status = gpu.allocate(size_bytes, allocation); !status.ok()) throw Error(status);
  return allocation;
}

}  // namespace naiad::test
