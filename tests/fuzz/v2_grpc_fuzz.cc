#include <cstddef>
#include <cstdint>

#include "v2_grpc_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return naiad::fuzz::run_v2_grpc({data, size});
}
