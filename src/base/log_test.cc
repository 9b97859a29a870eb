#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

namespace pie::log {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::chrono::seconds kLong{60};

/// stderr is a pipe as long as it lives.
class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    flush(kLong);
    ASSERT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    before_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    ASSERT_GE(::dup2(ends_[1], STDERR_FILENO), 0);
    ::close(ends_[1]);
  }
  void TearDown() override { read_to_the_end(); }

  /// Gives stderr back, then returns what was written to the pipe.
  std::string read_to_the_end() {
    if (before_ < 0) return {};
    std::string all;
    std::thread reader([&] {
      char piece[4'096];
      for (ssize_t n = 0; (n = ::read(ends_[0], piece, sizeof piece)) > 0;)
        all.append(piece, static_cast<size_t>(n));
    });
    flush(kLong);
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    before_ = -1;
    reader.join();
    ::close(ends_[0]);
    return all;
  }

  int ends_[2] = {-1, -1};
  int before_ = -1;
};

TEST_F(LogTest, a_line_has_a_time_a_level_and_no_control_characters) {
  debug("not this");
  warning("user {} came", "a\x1b[31m\nb");
  const std::string all = read_to_the_end();
  EXPECT_THAT(all, testing::ContainsRegex(
                       "^2[0-9]{3}-[0-9]{2}-[0-9]{2} [0-9:]{8}[.][0-9]{3} warning user a"));
  EXPECT_THAT(all, HasSubstr(R"(a\x1b[31m\nb came)"));
  EXPECT_THAT(all, Not(HasSubstr("not this")));
}

TEST_F(LogTest, nobody_waits_for_a_pipe_that_is_not_read_and_what_is_lost_is_counted) {
  constexpr int kLines = 40'000;
  const std::string text(100, 'x');
  std::jthread other([&] {
    for (int i = 0; i < kLines; ++i) warning("{}", text);
  });
  for (int i = 0; i < kLines; ++i) warning("{}", text);
  other.join();  // comes back: the pipe holds 64 KiB of 10 MB
  flush(std::chrono::milliseconds(1));
  const std::string all = read_to_the_end();
  EXPECT_GT(all.size(), 500'000u);
  EXPECT_LT(all.size(), 1'200'000u);
  const size_t count_end = all.find(" lines of the log are missing here");
  ASSERT_NE(count_end, std::string::npos);
  const size_t count_start = all.rfind(' ', count_end - 1) + 1;
  const int lost = std::stoi(all.substr(count_start, count_end - count_start));
  const auto kept = std::count(all.begin(), all.end(), '\n') - 1;
  EXPECT_EQ(kept + lost, 2 * kLines);
}

}  // namespace
}  // namespace pie::log
