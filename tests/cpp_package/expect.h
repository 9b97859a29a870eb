#pragma once
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <string>

/// How many expectations were not met; each says so on stderr.
inline int failures = 0;

#define EXPECT(condition)                                            \
  do {                                                               \
    if (!(condition)) {                                              \
      std::cerr << __LINE__ << ": not true: " << #condition << '\n'; \
      ++failures;                                                    \
    }                                                                \
  } while (false)

template <class Expected>
void expect_throw(int line, const std::function<void()>& action, const std::string& part = "") {
  try {
    action();
    std::cerr << line << ": nothing thrown\n";
  } catch (const Expected& e) {
    if (std::string(e.what()).find(part) != std::string::npos) return;
    std::cerr << line << ": the text is: " << e.what() << '\n';
  } catch (const std::exception& e) {
    std::cerr << line << ": another exception: " << e.what() << '\n';
  }
  ++failures;
}
#define EXPECT_THROW(type, ...) expect_throw<type>(__LINE__, [&] { __VA_ARGS__; })
#define EXPECT_THROW_TEXT(type, text, ...) expect_throw<type>(__LINE__, [&] { __VA_ARGS__; }, text)

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
