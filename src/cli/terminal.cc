#include "cli/terminal.h"

#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace pie::cli {
namespace {

constexpr char kEndOfTransmission = 4;  // Ctrl-D as a byte (ASCII)

/// The parameter of the escape sequence "select graphic rendition" (ECMA-48, 8.3.117).
const char* sgr(Colour colour) {
  switch (colour) {
    case Colour::kRed: return "31";
    case Colour::kGreen: return "32";
    case Colour::kYellow: return "33";
    case Colour::kBlue: return "34";
    case Colour::kDim: return "2";
  }
  return "0";
}

}  // namespace

bool shows_colours(std::FILE* stream) {
  const char* off = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool is_dumb = term == nullptr || std::string_view(term) == "dumb";
  return (off == nullptr || *off == '\0') && !is_dumb && ::isatty(::fileno(stream)) != 0;
}

std::string paint(std::FILE* stream, Colour colour, std::string_view text) {
  if (!shows_colours(stream)) return std::string(text);
  return std::string("\x1b[").append(sgr(colour)).append("m").append(text).append("\x1b[0m");
}

DetachKey::DetachKey() : is_terminal_(::isatty(STDIN_FILENO) != 0) {}

bool DetachKey::pressed() const {
  // From the background a read would stop the process (SIGTTIN).
  if (!is_terminal_ || ::tcgetpgrp(STDIN_FILENO) != ::getpgrp()) return false;
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::poll(&input, 1, 0) <= 0) return false;
  char typed[4096];
  const ssize_t count = ::read(STDIN_FILENO, typed, sizeof typed);
  if (count < 0) return errno != EINTR && errno != EAGAIN;
  if (count == 0) return true;
  termios mode{};
  const bool is_by_line = ::tcgetattr(STDIN_FILENO, &mode) == 0 && (mode.c_lflag & ICANON) != 0;
  // By line a read ends with the line or, without one, at Ctrl-D.
  if (is_by_line) return typed[count - 1] != '\n' && count < ssize_t{sizeof typed};
  return std::find(typed, typed + count, kEndOfTransmission) != typed + count;
}

}  // namespace pie::cli
