#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "../../fuzz/generate_target.h"
#include "../../fuzz/http1_target.h"
#include "../../fuzz/inflate_target.h"
#include "../../fuzz/v2_grpc_target.h"
#include "../../fuzz/v2_http_target.h"

namespace {

// Runs the fuzz target over its kept corpus; a property that does not hold ends the program.
void replay(const std::string& name, int (*target)(std::span<const std::uint8_t>)) {
  const auto folder = std::filesystem::path("tests/fuzz/corpus") / name;
  std::size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    CAPTURE(entry.path().filename().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    CHECK(target({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}) == 0);
    ++num_files;
  }
  CHECK(num_files > 1);
}

}  // namespace

TEST_CASE("the kept corpus of v2_http holds its properties") {
  replay("v2_http", naiad::fuzz::run_v2_http);
}
TEST_CASE("the kept corpus of v2_grpc holds its properties") {
  replay("v2_grpc", naiad::fuzz::run_v2_grpc);
}
TEST_CASE("the kept corpus of http1 holds its properties") {
  replay("http1", naiad::fuzz::run_http1);
}
TEST_CASE("the kept corpus of inflate holds its properties") {
  replay("inflate", naiad::fuzz::run_inflate);
}
TEST_CASE("the kept corpus of generate holds its properties") {
  replay("generate", naiad::fuzz::run_generate);
}
