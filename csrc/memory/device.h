#pragma once

namespace naiad {

enum class DeviceKind : unsigned char { kCpu, kGpu };

// Where bytes live. kCpu has id 0.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int id = 0;

  friend bool operator==(const Device&, const Device&) = default;
};

}  // namespace naiad
