#pragma once

#include <string>

#include "execute/backend.h"
#include "memory/device_pool.h"

namespace naiad {

// Where an instance queues its work on its GPU. Null on the CPU, and where the core has no GPU although a
// framework may have one: the log says then what `without` says. Throws as InstanceSpec::on_gpu. Instance
// thread, in a factory.
const DevicePlace* gpu_place(const InstanceSpec& instance, const std::string& without);

}  // namespace naiad
