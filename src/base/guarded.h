#pragma once
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/result.h"

namespace pie {

/// What `work` returns, a Result; what it throws becomes an error of `what`: kResourceExhausted
/// when there is no memory, else kInternal with its words. For work on one request's behalf, so
/// that it is that request which is refused.
template <class Work>
auto guarded(const char* what, Work&& work) -> decltype(work()) {
  try {
    return std::forward<Work>(work)();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kResourceExhausted,
                 "[" + std::string(what) +
                     "] got no memory from the machine, expected room for it; try again later"};
  } catch (const std::exception& failure) {
    return Error{ErrorCode::kInternal, "[" + std::string(what) + "] got: " + failure.what()};
  }
}

}  // namespace pie
