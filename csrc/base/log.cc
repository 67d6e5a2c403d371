#include "base/log.h"

#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>

namespace naiad {
namespace {

constexpr std::uint64_t kUsPerSecond = 1'000'000;

std::atomic<LogLevel> least_level{LogLevel::kInfo};  // pairs with nothing: the value is the whole message

char level_letter(LogLevel level) {
  switch (level) {
    case LogLevel::kWarning:
      return 'W';
    case LogLevel::kError:
      return 'E';
    case LogLevel::kVerbose:  // Triton writes verbose lines as I too
    case LogLevel::kInfo:
    case LogLevel::kNone:
      break;
  }
  return 'I';
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    } else {
      out += c;
    }
  }
}

void write_line(LogLevel level, std::string_view text, const LogPlace& where) {
  if (!log_enabled(level)) return;
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  const auto time_us = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  std::string line =
      format_log_line(level, static_cast<std::uint64_t>(time_us), getpid(), where.file, where.line, text);
  line += '\n';
  // A log line that cannot be written has nowhere to be reported.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void set_log_level(LogLevel level) {
  least_level.store(level, std::memory_order_relaxed);
}

bool log_enabled(LogLevel level) {
  return level != LogLevel::kNone && level >= least_level.load(std::memory_order_relaxed);
}

void log_verbose(std::string_view text, const LogPlace& where) {
  write_line(LogLevel::kVerbose, text, where);
}
void log_info(std::string_view text, const LogPlace& where) {
  write_line(LogLevel::kInfo, text, where);
}
void log_warning(std::string_view text, const LogPlace& where) {
  write_line(LogLevel::kWarning, text, where);
}
void log_error(std::string_view text, const LogPlace& where) {
  write_line(LogLevel::kError, text, where);
}

std::string format_log_line(LogLevel level, std::uint64_t unix_time_us, int pid, std::string_view file,
                            unsigned line, std::string_view text) {
  const auto seconds = static_cast<time_t>(unix_time_us / kUsPerSecond);
  tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> head{};
  std::snprintf(head.data(), head.size(), "%c%02d%02d %02d:%02d:%02d.%06u %d ", level_letter(level),
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<unsigned>(unix_time_us % kUsPerSecond), pid);
  std::string out(head.data());
  out += file.substr(file.rfind('/') + 1);  // npos + 1 == 0: a name without a directory stays whole
  out += ':';
  out += std::to_string(line);
  out += "] ";
  append_escaped(out, text);
  return out;
}

}  // namespace naiad
