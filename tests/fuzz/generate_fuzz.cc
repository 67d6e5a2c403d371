#include <cstddef>
#include <cstdint>

#include "generate_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return naiad::fuzz::run_generate({data, size});
}
