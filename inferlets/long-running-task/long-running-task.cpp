// Works for a while, for detached launches: prints and sends its progress, returns a summary.
//
//   --seconds, -s   how long it works (default 10)
//   --every, -e     seconds between two reports (default 1)
#include <pie/inferlet.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace {

std::string tenths(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", seconds);
  return text;
}

}  // namespace

inferlet::Result<std::string> inferlet_main(const std::vector<std::string>& arguments) {
  double seconds = 10.0;
  double every = 1.0;
  inferlet::ArgumentParser parser;
  parser.option("seconds", 's', &seconds).option("every", 'e', &every);
  if (auto parsed = parser.parse(arguments); !parsed) return inferlet::fail(parsed.error());
  if (!(every > 0.0)) {
    return inferlet::fail("[--every] got " + tenths(every) + ", expected more than 0");
  }

  using Clock = std::chrono::steady_clock;
  using Seconds = std::chrono::duration<double>;
  const Clock::time_point start = Clock::now();
  int reports = 0;
  for (;;) {
    const double elapsed = Seconds(Clock::now() - start).count();
    if (elapsed >= seconds) break;
    const double next = std::min(every, seconds - elapsed);
    inferlet::sleep_for(std::chrono::duration_cast<std::chrono::nanoseconds>(Seconds(next)));
    const double done = std::min(Seconds(Clock::now() - start).count(), seconds);
    const std::string report = "progress " + std::to_string(++reports) + ": " + tenths(done) +
                               " of " + tenths(seconds) + " s";
    inferlet::print(report + "\n");
    inferlet::send(report);
  }
  return "worked for " + tenths(seconds) + " s, " + std::to_string(reports) + " reports";
}
