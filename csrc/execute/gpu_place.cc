#include "execute/gpu_place.h"

#include "base/log.h"

namespace naiad {

const DevicePlace* gpu_place(const InstanceSpec& instance, const std::string& without) {
  if (instance.device.kind != DeviceKind::kGpu || !instance.on_gpu) return nullptr;
  try {
    return &instance.on_gpu();
  } catch (const Error& error) {
    if (error.status().code() != Code::kUnsupported) throw;
    log_warning("model instance '" + instance.name + "': " + without + ": " + error.status().message());
    return nullptr;
  }
}

}  // namespace naiad
