#include <cstddef>
#include <cstdint>

#include "v2_http_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return naiad::fuzz::run_v2_http({data, size});
}
