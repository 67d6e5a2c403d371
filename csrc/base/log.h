#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace naiad {

enum class LogLevel : unsigned char { kVerbose, kInfo, kWarning, kError };

// Where a line is logged. (std::source_location, which clang 14 does not have.)
struct LogPlace {
  static constexpr LogPlace current(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }

  const char* file;
  unsigned line;
};

// Which lines are written, each kind by itself; the others are dropped. Any thread.
struct LogLevels {
  bool verbose = false;
  bool info = true;
  bool warning = true;
  bool error = true;
};
void set_log_levels(const LogLevels& levels);

// How lines are written: Triton's two forms, or each as a JSON object.
enum class LogForm : unsigned char { kDefault, kIso8601, kJson };
void set_log_form(LogForm form);

// Lines are added to this file from now on, to stderr for "". A file that was moved away, as by logrotate, is
// made anew. Throws Error(kUnavailable) and changes nothing when it cannot be opened. Any thread.
void set_log_file(const std::string& path);

// Whether a line of this level is written: for callers whose text costs something to make. Any thread.
bool log_enabled(LogLevel level);

// Write one line to the log with one write(2), so that lines of several threads or processes do not mix. Line
// breaks and other control characters in `text` are escaped: one event is one line. Any thread; blocks as
// long as the file does.
void log_verbose(std::string_view text, const LogPlace& where = LogPlace::current());
void log_info(std::string_view text, const LogPlace& where = LogPlace::current());
void log_warning(std::string_view text, const LogPlace& where = LogPlace::current());
void log_error(std::string_view text, const LogPlace& where = LogPlace::current());

// The line, without the line break, in the format of Triton's log (and glog's):
// "I1124 02:30:00.123456 <pid> <file>:<line>] text" or "2026-11-24T02:30:00Z I <pid> ...", in UTC; as JSON
// with the members time, level, pid, file, line and message. Any thread.
std::string format_log_line(LogForm form, LogLevel level, std::uint64_t unix_time_us, int pid,
                            std::string_view file, unsigned line, std::string_view text);

}  // namespace naiad
