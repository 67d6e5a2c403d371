#include <cstddef>
#include <cstdint>

#include "grpc_wire_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return naiad::fuzz::run_grpc_wire({data, size});
}
