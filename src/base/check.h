#pragma once

namespace pie::detail {
/// Prints what failed and where, then aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace pie::detail

/// An invariant of our own code, checked in release builds too. Input of clients, programs, model
/// files and configs must never reach one: that is what Result is for.
#define PIE_CHECK(condition) \
  ((condition) ? void() : ::pie::detail::check_failed(#condition, __FILE__, __LINE__))
