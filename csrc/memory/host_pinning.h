#pragma once

#include <cstddef>
#include <string>

#include "base/error.h"

namespace naiad {

// What the device room tells of this machine. Implemented by csrc/cuda and by csrc/no_cuda; which of them is
// linked is decided when naiad is built, whether a GPU is there is found out when it runs.

// Number of usable GPUs; 0 on a machine without driver or device. Any thread.
int gpu_count();

// One sentence that says why gpu_count() is 0; empty when it is not. Any thread.
std::string gpu_absence();

// Pins [data, data + size_bytes) for DMA by every GPU. kUnsupported without a GPU. Any thread.
Status pin_host_memory(void* data, std::size_t size_bytes);

// Undoes pin_host_memory for the same start. Any thread.
void unpin_host_memory(void* data);

}  // namespace naiad
