#pragma once
// What programs share that show one promise after the other: a scenario that goes wrong says what
// was different.
#include <pie/inferlet.h>

#include <string>
#include <type_traits>
#include <utility>

inline std::string failure;  ///< of the scenario that runs; the first one counts

inline void expect(bool holds, const std::string& what) {
  if (!holds && failure.empty()) failure = what;
}

/// What a scenario cannot go on without.
template <class T>
T must(inferlet::Result<T> result) {
  if (!result) {
    inferlet::print_error(result.error() + "\n");
    __builtin_trap();
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}
template <class T>
T must(inferlet::Task<inferlet::Result<T>> task) {
  return must(task.wait());
}
