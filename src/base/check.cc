#include "base/check.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/log.h"

namespace pie::detail {

void check_failed(const char* condition, const char* file, int line) {
  constexpr std::chrono::milliseconds kLongest{500};  // nobody may read stderr
  log::flush(kLongest);
  char text[512];
  std::snprintf(text, sizeof text, "%s:%d: check failed: %s\n", file, line, condition);
  pollfd out{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  if (::poll(&out, 1, static_cast<int>(kLongest.count())) > 0) {
    const std::string_view bytes(text);
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
  }
  std::abort();
}

}  // namespace pie::detail
