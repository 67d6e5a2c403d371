#include "base/log.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace naiad {
namespace {

// 2026-11-24 02:30:00.123456 UTC
constexpr std::uint64_t kTimeUs = 1'795'487'400'123'456;

TEST_CASE("log: a line has the format of Triton's log") {
  CHECK(format_log_line(LogLevel::kInfo, kTimeUs, 42, "csrc/base/log.cc", 7, "up") ==
        "I1124 02:30:00.123456 42 log.cc:7] up");
  CHECK(format_log_line(LogLevel::kWarning, kTimeUs, 42, "log.cc", 7, "")[0] == 'W');
  CHECK(format_log_line(LogLevel::kError, kTimeUs, 42, "log.cc", 7, "")[0] == 'E');
  CHECK(format_log_line(LogLevel::kVerbose, kTimeUs, 42, "log.cc", 7, "")[0] == 'I');
}

TEST_CASE("log: an event is one line, whatever its text holds") {
  const std::string line = format_log_line(LogLevel::kInfo, kTimeUs, 1, "a.cc", 1,
                                           std::string("a\nE1124 forged\r\t\x1b[2J\x7f") + "ü");
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.ends_with("] a\\nE1124 forged\\r\\t\\x1b[2J\\x7fü"));
}

TEST_CASE("log: the level decides what is enabled") {
  set_log_level(LogLevel::kWarning);
  CHECK_FALSE(log_enabled(LogLevel::kInfo));
  CHECK(log_enabled(LogLevel::kWarning));
  CHECK(log_enabled(LogLevel::kError));
  set_log_level(LogLevel::kNone);
  CHECK_FALSE(log_enabled(LogLevel::kError));
  CHECK_FALSE(log_enabled(LogLevel::kNone));
  set_log_level(LogLevel::kInfo);
  CHECK_FALSE(log_enabled(LogLevel::kVerbose));
  CHECK(log_enabled(LogLevel::kInfo));
}

TEST_CASE("log: a line goes to stderr and names where it was written") {
  std::array<int, 2> ends{};
  REQUIRE(pipe(ends.data()) == 0);
  const int saved = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  log_warning("half\nfull");
  log_verbose("not written");
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[1]);
  std::array<char, 512> text{};
  const ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  REQUIRE(size > 0);
  const std::string line(text.data(), static_cast<std::size_t>(size));
  CHECK(line.starts_with("W"));
  CHECK(line.find(" log_test.cc:") != std::string::npos);
  CHECK(line.ends_with("] half\\nfull\n"));
}

}  // namespace
}  // namespace naiad
