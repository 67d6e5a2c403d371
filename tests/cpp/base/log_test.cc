#include "base/log.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/error.h"

namespace naiad {
namespace {

// 2026-11-24 02:30:00.123456 UTC
constexpr std::uint64_t kTimeUs = 1'795'487'400'123'456;

TEST_CASE("log: a line has the format of Triton's log") {
  CHECK(format_log_line(LogForm::kDefault, LogLevel::kInfo, kTimeUs, 42, "csrc/base/log.cc", 7, "up") ==
        "I1124 02:30:00.123456 42 log.cc:7] up");
  CHECK(format_log_line(LogForm::kDefault, LogLevel::kWarning, kTimeUs, 42, "log.cc", 7, "")[0] == 'W');
  CHECK(format_log_line(LogForm::kDefault, LogLevel::kError, kTimeUs, 42, "log.cc", 7, "")[0] == 'E');
  CHECK(format_log_line(LogForm::kDefault, LogLevel::kVerbose, kTimeUs, 42, "log.cc", 7, "")[0] == 'I');
}

TEST_CASE("log: an event is one line, whatever its text holds") {
  const std::string line = format_log_line(LogForm::kDefault, LogLevel::kInfo, kTimeUs, 1, "a.cc", 1,
                                           std::string("a\nE1124 forged\r\t\x1b[2J\x7f") + "ü");
  CHECK(line.find('\n') == std::string::npos);
  CHECK(line.ends_with("] a\\nE1124 forged\\r\\t\\x1b[2J\\x7fü"));
}

TEST_CASE("log: the other form has the date as in ISO 8601") {
  CHECK(format_log_line(LogForm::kIso8601, LogLevel::kWarning, kTimeUs, 42, "csrc/base/log.cc", 7, "up") ==
        "2026-11-24T02:30:00Z W 42 log.cc:7] up");
}

TEST_CASE("log: each level is switched by itself") {
  set_log_levels({.verbose = true, .info = false, .warning = true, .error = false});
  CHECK(log_enabled(LogLevel::kVerbose));
  CHECK_FALSE(log_enabled(LogLevel::kInfo));
  CHECK(log_enabled(LogLevel::kWarning));
  CHECK_FALSE(log_enabled(LogLevel::kError));
  set_log_levels({});
  CHECK_FALSE(log_enabled(LogLevel::kVerbose));
  CHECK(log_enabled(LogLevel::kInfo));
}

std::string text_of(const std::filesystem::path& path) {
  const std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_CASE("log: a file takes the lines, also when it was moved away meanwhile") {
  std::string name = (std::filesystem::temp_directory_path() / "naiad_log_XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  const std::filesystem::path folder = name;
  set_log_file((folder / "log").string());
  log_info("first");
  std::filesystem::rename(folder / "log", folder / "log.1");
  set_log_form(LogForm::kIso8601);
  log_info("second");
  CHECK_THROWS_AS(set_log_file((folder / "none" / "log").string()), Error);
  log_info("third");
  set_log_form(LogForm::kDefault);
  set_log_file("");
  CHECK(text_of(folder / "log.1").ends_with("] first\n"));
  const std::string text = text_of(folder / "log");
  CHECK(text.starts_with("20"));
  CHECK(text.find("] second\n") != std::string::npos);
  CHECK(text.ends_with("] third\n"));
  std::filesystem::remove_all(folder);
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

TEST_CASE("log: a line as JSON is one object, whatever is in it") {
  const std::string line = format_log_line(LogForm::kJson, LogLevel::kWarning, 1'764'298'800'250'000, 42,
                                           "csrc/io/session.cc", 7, "say \"a\\b\"\n\x1b\xff");
  CHECK(line ==
        R"({"time":"2025-11-28T03:00:00.250000Z","level":"WARNING","pid":42,"file":"session.cc","line":7,)"
        R"("message":"say \"a\\b\"\u000a\u001b\u00ff"})");
}

}  // namespace
}  // namespace naiad
