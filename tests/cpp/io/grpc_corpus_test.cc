#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "../../fuzz/grpc_session_target.h"
#include "../../fuzz/grpc_wire_target.h"

using namespace naiad;

namespace {

// Runs the fuzz target over its kept corpus; a property that does not hold ends the program.
std::size_t replay(const char* name, int (*run)(std::span<const std::uint8_t>)) {
  const auto folder = std::filesystem::path("tests/fuzz/corpus") / name;
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    run({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("the kept corpus of grpc_wire holds its properties") {
  CHECK(replay("grpc_wire", fuzz::run_grpc_wire) >= 3);
}

TEST_CASE("the kept corpus of grpc_session holds its properties") {
  CHECK(replay("grpc_session", fuzz::run_grpc_session) >= 8);
}
