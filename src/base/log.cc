#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/utf8.h"

namespace pie::log {
namespace {

constexpr size_t kWaitingBytesMax = 512 << 10;  ///< and as many being written
constexpr size_t kTextBytesMax = 16 << 10;
constexpr size_t kPieceBytes = 4'096;  ///< a pipe with any room takes that much (PIPE_BUF)
constexpr std::chrono::milliseconds kFlushAtExit{1'000};

std::atomic<Level> least_level{Level::kInfo};

struct Look {
  const char* name;
  const char* colour;
};
Look look_of(Level level) {
  switch (level) {
    case Level::kDebug: return {"debug", "\x1b[36m"};
    case Level::kInfo: return {"info", "\x1b[32m"};
    case Level::kWarning: return {"warning", "\x1b[33m\x1b[1m"};
    case Level::kError: return {"error", "\x1b[31m\x1b[1m"};
  }
  return {"info", ""};
}

bool shows_colours() {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool is_dumb = term == nullptr || std::string_view(term) == "dumb";
  return (off == nullptr || *off == '\0') && !is_dumb && ::isatty(STDERR_FILENO) != 0;
}

std::string formatted(Level level, std::string_view text) {
  static const bool has_colours = shows_colours();
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  ::localtime_r(&now.tv_sec, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
  const Look look = look_of(level);
  const bool is_cut = text.size() > kTextBytesMax;
  return fmt::format("{}.{:03} {}{}{} {}{}\n", date, now.tv_nsec / 1'000'000,
                     has_colours ? look.colour : "", look.name, has_colours ? "\x1b[m" : "",
                     printable_line(text.substr(0, kTextBytesMax)), is_cut ? "..." : "");
}

/// Waits for stderr as long as it takes; drops what it refuses.
void write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&out, 1, -1) < 0 && errno == EINTR) continue;
    const ssize_t n =
        ::write(STDERR_FILENO, bytes.data(), std::min<size_t>(bytes.size(), kPieceBytes));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

/// Lines on their way to stderr, and the thread that brings them there. Never destroyed: threads
/// may log until the process is gone.
class LineWriter {
 public:
  void put(std::string line) {
    const std::lock_guard lock(mutex_);
    if (!is_running_ && !start_locked()) return;
    if (waiting_.size() + line.size() > kWaitingBytesMax) {
      ++dropped_;
    } else {
      waiting_ += line;
    }
    changed_.notify_all();
  }

  void flush(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [this] { return waiting_.empty() && !is_writing_; });
  }

 private:
  /// The thread takes no signals: those are for who waits for them. False when there is no thread
  /// to be had; the next line tries again.
  bool start_locked() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      std::thread([this] { run(); }).detach();
      is_running_ = true;
    } catch (const std::system_error&) {
      is_running_ = false;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return is_running_;
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !waiting_.empty(); });
      std::string lines;
      lines.swap(waiting_);
      is_writing_ = true;
      lock.unlock();
      write_all(lines);
      lock.lock();
      is_writing_ = false;
      // What waits now came before the lines that were dropped.
      if (const uint64_t lost = std::exchange(dropped_, 0); lost > 0)
        waiting_ += formatted(Level::kWarning,
                              fmt::format("{} lines of the log are missing here: stderr was not "
                                          "read",
                                          lost));
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string waiting_;
  uint64_t dropped_ = 0;
  bool is_running_ = false;
  bool is_writing_ = false;
};

LineWriter& writer() {
  static LineWriter& instance = *[] {
    std::atexit([] { flush(kFlushAtExit); });
    return new LineWriter;
  }();
  return instance;
}

}  // namespace

void set_level(Level level) { least_level = level; }
bool enabled(Level level) { return level >= least_level.load(); }
void flush(std::chrono::milliseconds longest) { writer().flush(longest); }

void write(Level level, std::string_view text) {
  if (enabled(level)) writer().put(formatted(level, text));
}

}  // namespace pie::log
