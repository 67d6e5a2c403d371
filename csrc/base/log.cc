#include "base/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/error.h"

namespace naiad {
namespace {

constexpr std::uint64_t kUsPerSecond = 1'000'000;

constexpr unsigned bit(LogLevel level) noexcept {
  return 1U << static_cast<unsigned>(level);
}

// Both pair with nothing: the value is the whole message.
std::atomic<unsigned> wanted_levels{bit(LogLevel::kInfo) | bit(LogLevel::kWarning) | bit(LogLevel::kError)};
std::atomic<LogForm> line_form{LogForm::kDefault};

// Where lines go. One for the process, as stderr is.
class LogFile {
 public:
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  static LogFile& of_process() {
    static LogFile file;
    return file;
  }

  void change(const std::string& path) {
    const int opened = path.empty() ? -1 : open_file(path);
    if (opened < 0 && !path.empty()) {
      throw Error(Code::kUnavailable, std::string("the log file cannot be written: ") + std::strerror(errno));
    }
    const std::lock_guard lock(mutex_);
    path_ = path;
    replace(opened);
  }

  void write(std::string_view line) {
    const std::lock_guard lock(mutex_);
    if (fd_ >= 0 && was_moved()) {
      if (const int opened = open_file(path_); opened >= 0) replace(opened);
    }
    // A log line that cannot be written has nowhere to be reported.
    [[maybe_unused]] const ssize_t written =
        ::write(fd_ >= 0 ? fd_ : STDERR_FILENO, line.data(), line.size());
  }

 private:
  LogFile() = default;
  ~LogFile() { replace(-1); }

  static int open_file(const std::string& path) {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  }

  void replace(int fd) {
    if (const int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  }

  bool was_moved() const {
    struct stat here{};
    struct stat there{};
    if (::fstat(fd_, &here) != 0) return true;
    if (::stat(path_.c_str(), &there) != 0) return true;
    return here.st_dev != there.st_dev || here.st_ino != there.st_ino;
  }

  std::mutex mutex_;
  std::string path_;
  int fd_ = -1;  // stderr
};

char level_letter(LogLevel level) {
  switch (level) {
    case LogLevel::kWarning:
      return 'W';
    case LogLevel::kError:
      return 'E';
    case LogLevel::kVerbose:  // Triton writes verbose lines as I too
    case LogLevel::kInfo:
      break;
  }
  return 'I';
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kVerbose:
      return "DEBUG";
    case LogLevel::kInfo:
      return "INFO";
    case LogLevel::kWarning:
      return "WARNING";
    case LogLevel::kError:
      return "ERROR";
  }
  return "INFO";
}

// Within a JSON string.
void append_json_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // A byte that is no ASCII may be of any coding: as Latin-1, so that the line is always JSON.
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
    } else {
      out += c;
    }
  }
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
      format_log_line(line_form.load(std::memory_order_relaxed), level, static_cast<std::uint64_t>(time_us),
                      getpid(), where.file, where.line, text);
  line += '\n';
  LogFile::of_process().write(line);
}

}  // namespace

void set_log_levels(const LogLevels& levels) {
  unsigned bits = 0;
  if (levels.verbose) bits |= bit(LogLevel::kVerbose);
  if (levels.info) bits |= bit(LogLevel::kInfo);
  if (levels.warning) bits |= bit(LogLevel::kWarning);
  if (levels.error) bits |= bit(LogLevel::kError);
  wanted_levels.store(bits, std::memory_order_relaxed);
}

void set_log_form(LogForm form) {
  line_form.store(form, std::memory_order_relaxed);
}

void set_log_file(const std::string& path) {
  LogFile::of_process().change(path);
}

bool log_enabled(LogLevel level) {
  return (wanted_levels.load(std::memory_order_relaxed) & bit(level)) != 0;
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

std::string format_log_line(LogForm form, LogLevel level, std::uint64_t unix_time_us, int pid,
                            std::string_view file, unsigned line, std::string_view text) {
  const auto seconds = static_cast<time_t>(unix_time_us / kUsPerSecond);
  tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 128> head{};
  if (form == LogForm::kJson) {
    std::snprintf(head.data(), head.size(), R"({"time":"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ",)",
                  utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                  static_cast<unsigned>(unix_time_us % kUsPerSecond));
    std::string out(head.data());
    out.append(R"("level":")").append(level_name(level)).append(R"(","pid":)").append(std::to_string(pid));
    out.append(R"(,"file":")").append(file.substr(file.rfind('/') + 1)).append(R"(","line":)");
    out.append(std::to_string(line)).append(R"(,"message":")");
    append_json_escaped(out, text);
    out.append("\"}");
    return out;
  }
  if (form == LogForm::kIso8601) {
    std::snprintf(head.data(), head.size(), "%04d-%02d-%02dT%02d:%02d:%02dZ %c %d ", utc.tm_year + 1900,
                  utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, level_letter(level), pid);
  } else {
    std::snprintf(head.data(), head.size(), "%c%02d%02d %02d:%02d:%02d.%06u %d ", level_letter(level),
                  utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                  static_cast<unsigned>(unix_time_us % kUsPerSecond), pid);
  }
  std::string out(head.data());
  out += file.substr(file.rfind('/') + 1);  // npos + 1 == 0: a name without a directory stays whole
  out += ':';
  out += std::to_string(line);
  out += "] ";
  append_escaped(out, text);
  return out;
}

}  // namespace naiad
