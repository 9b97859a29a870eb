#include "cli/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "base/log.h"
#include "base/utf8.h"
#include "cli/exit_code.h"
#include "cli/terminal.h"

namespace pie::cli {
namespace {

constexpr size_t kPieceBytes = 4'096;  ///< a pipe with any room takes that much at once (PIPE_BUF)
constexpr int kLookMs = 100;

std::array<int, 3> failures{};  ///< errno by descriptor

/// Whether the descriptor is ready, or has failed; waits for it so long (-1: until a signal comes).
bool is_ready(int fd, short events, int longest_ms) {
  pollfd one{.fd = fd, .events = events, .revents = 0};
  return ::poll(&one, 1, longest_ms) > 0;
}

/// errno of a failure goes to `failure`.
Written write_whole(int fd, std::string_view text, const GivesUp& gives_up, int& failure) {
  while (!text.empty()) {
    ssize_t n = 0;
    if (is_ready(fd, POLLOUT, gives_up ? kLookMs : -1))
      n = ::write(fd, text.data(), std::min(text.size(), kPieceBytes));
    if (n < 0 && errno != EINTR && errno != EAGAIN) {
      failure = errno;
      return Written::kFailed;
    }
    if (n > 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (gives_up && gives_up()) {
      return Written::kGivenUp;
    }
  }
  return Written::kWhole;
}

}  // namespace

void prepare_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one. The wrong direction makes each use an error.
    (void)::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

Written write(Stream stream, std::string_view text, const GivesUp& gives_up) {
  int& failure = failures[static_cast<size_t>(stream)];
  if (failure != 0) return Written::kFailed;
  return write_whole(static_cast<int>(stream), text, gives_up, failure);
}

bool offer(std::string_view text) {
  int looks_left = 1'000 / kLookMs;
  int ignored = 0;
  const auto gives_up = [&looks_left] { return --looks_left <= 0; };
  return write_whole(STDOUT_FILENO, text, gives_up, ignored) == Written::kWhole;
}

int failure_of(Stream stream) { return failures[static_cast<size_t>(stream)]; }

Error failure_error(Stream stream) {
  const char* name = stream == Stream::kOut ? "standard output" : "standard error";
  return {ErrorCode::kUnavailable,
          fmt::format("[{}] got: {}", name, std::strerror(failure_of(stream)))};
}

bool say_text(std::string_view text) { return write(Stream::kOut, text) == Written::kWhole; }

void complain(std::string_view text) {
  log::flush(std::chrono::seconds(1));  // what was logged happened before
  write(Stream::kErr, printable_text(text));
}

void complain_as(const std::string& name, std::string_view text) {
  const std::string label =
      paint(stderr, Colour::kRed, "pie" + (name.empty() ? "" : " " + name) + ":");
  log::flush(std::chrono::seconds(1));
  write(Stream::kErr, label + " " + printable_text(text) + "\n");
}

int settle(const std::string& name, int code) {
  const int failure = failure_of(Stream::kOut);
  if (failure == 0 || code != 0) return code;
  if (failure == EPIPE) return kExitReaderGone;
  complain_as(name, failure_error(Stream::kOut).message);
  return kExitFailed;
}

Result<std::string> read_standard_input() {
  std::string all;
  for (;;) {
    char piece[kPieceBytes];
    const ssize_t n = ::read(STDIN_FILENO, piece, sizeof piece);
    if (n == 0) return all;
    if (n > 0) {
      all.append(piece, static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      is_ready(STDIN_FILENO, POLLIN, -1);
    } else if (errno != EINTR) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("[standard input] got: {}", std::strerror(errno))};
    }
  }
}

}  // namespace pie::cli
