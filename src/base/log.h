#pragma once
#include <fmt/format.h>

#include <chrono>
#include <string_view>
#include <utility>

namespace pie::log {

enum class Level { kDebug, kInfo, kWarning, kError };

/// Sets the least level that is written (to stderr). Default: kInfo. Thread-safe.
void set_level(Level level);
/// Writes one line; what a terminal would not show is escaped (printable_line()). Never blocks: a
/// thread of the log's own writes to stderr, and where nobody reads that, lines beyond 1 MiB are
/// dropped and counted in a line of their own. Thread-safe.
void write(Level level, std::string_view text);
/// Whether a line of this level would be written.
bool enabled(Level level);
/// Waits until everything is written, `longest` at most. Happens at exit() by itself, for a second.
void flush(std::chrono::milliseconds longest);

template <class... Args>
void line(Level level, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(level)) write(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... a) {
  line(Level::kDebug, f, std::forward<Args>(a)...);
}
template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... a) {
  line(Level::kInfo, f, std::forward<Args>(a)...);
}
template <class... Args>
void warning(fmt::format_string<Args...> f, Args&&... a) {
  line(Level::kWarning, f, std::forward<Args>(a)...);
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... a) {
  line(Level::kError, f, std::forward<Args>(a)...);
}

}  // namespace pie::log
