#pragma once
#include <expected>
#include <string>
#include <utility>

namespace inferlet {

/// A value, or what went wrong in words.
template <class T>
using Result = std::expected<T, std::string>;

/// `return inferlet::fail("...")` from a function that returns a Result.
inline std::unexpected<std::string> fail(std::string message) {
  return std::unexpected(std::move(message));
}

}  // namespace inferlet
