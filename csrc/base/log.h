#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace naiad {

enum class LogLevel : unsigned char { kVerbose, kInfo, kWarning, kError, kNone };

// Where a line is logged. (std::source_location, which clang 14 does not have.)
struct LogPlace {
  static constexpr LogPlace current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }

  const char* file;
  unsigned line;
};

// Lines under this level are dropped; kInfo until it is set. Set at start. Any thread.
void set_log_level(LogLevel level);

// Whether a line of this level is written: for callers whose text costs something to make. Any thread.
bool log_enabled(LogLevel level);

// Write one line to stderr with one write(2), so that lines of several threads or processes do not mix. Line
// breaks and other control characters in `text` are escaped: one event is one line. Any thread; blocks as
// long as stderr does.
void log_verbose(std::string_view text, const LogPlace& where = LogPlace::current());
void log_info(std::string_view text, const LogPlace& where = LogPlace::current());
void log_warning(std::string_view text, const LogPlace& where = LogPlace::current());
void log_error(std::string_view text, const LogPlace& where = LogPlace::current());

// The line, without the line break, in the format of Triton's log (and glog's):
// "I1124 02:30:00.123456 <pid> <file>:<line>] text", in UTC. Any thread.
std::string format_log_line(LogLevel level, std::uint64_t unix_time_us, int pid, std::string_view file,
                            unsigned line, std::string_view text);

}  // namespace naiad
