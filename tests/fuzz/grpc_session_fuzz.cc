#include <cstddef>
#include <cstdint>

#include "grpc_session_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return naiad::fuzz::run_grpc_session({data, size});
}
