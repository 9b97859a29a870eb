#pragma once
#include <optional>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace pie {

/// A value or an Error. C++20's stand-in for std::expected<T, Error>.
/// value()/operator* on a failure is a bug of the caller and ends the process (PIE_CHECK).
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return PIE_CHECK(ok()), std::get<0>(state_); }
  const T& value() const& { return PIE_CHECK(ok()), std::get<0>(state_); }
  T&& value() && { return PIE_CHECK(ok()), std::move(std::get<0>(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return PIE_CHECK(!ok()), std::get<1>(state_); }
  Error&& error() && { return PIE_CHECK(!ok()), std::move(std::get<1>(state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return PIE_CHECK(!ok()), *error_; }
  Error&& error() && { return PIE_CHECK(!ok()), std::move(*error_); }

 private:
  std::optional<Error> error_;
};

#define PIE_CONCAT_INNER(a, b) a##b
#define PIE_CONCAT(a, b) PIE_CONCAT_INNER(a, b)

/// Returns the error of a Result expression from the enclosing function, if it has one.
#define PIE_TRY(expression)                                       \
  do {                                                            \
    if (auto pie_try_result = (expression); !pie_try_result.ok()) \
      return std::move(pie_try_result).error();                   \
  } while (false)

/// `PIE_TRY_ASSIGN(auto x, f());` : x = value, or returns the error.
#define PIE_TRY_ASSIGN(declaration, expression) \
  PIE_TRY_ASSIGN_INNER(PIE_CONCAT(pie_result_, __LINE__), declaration, expression)
#define PIE_TRY_ASSIGN_INNER(name, declaration, expression) \
  auto name = (expression);                                 \
  if (!name.ok()) return std::move(name).error();           \
  declaration = std::move(name).value()

}  // namespace pie
