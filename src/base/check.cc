#include "base/check.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace pie::detail {

void check_failed(const char* condition, const char* file, int line) {
  constexpr int kLongestMs = 500;  // nobody may read stderr
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: check failed: %s\n", file, line, condition);
  pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&out, 1, kLongestMs) > 0) {
    const std::string_view bytes(text);
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
  }
  std::abort();
}

}  // namespace pie::detail
