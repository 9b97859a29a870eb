#pragma once
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "wasm/wit_type.h"

namespace pie::wasm {

/// `return Ok(value);` and `return Err(error);` where a WitResult is expected; without arguments
/// for a part that WIT leaves out.
template <class T = std::monostate>
struct Ok {
  T value{};
};
template <class T>
Ok(T) -> Ok<T>;
Ok() -> Ok<>;
template <class E = std::monostate>
struct Err {
  E error{};
};
template <class E>
Err(E) -> Err<E>;
Err() -> Err<>;

/// WIT's result<T, E>, which a program sees and goes on from; void: that part is left out. (An
/// Error in a pie::Result ends the program.)
template <class T = void, class E = void>
class WitResult {
  template <class Part>
  using Held = std::conditional_t<std::is_void_v<Part>, std::monostate, Part>;

 public:
  using Value = Held<T>;
  using Failure = Held<E>;

  template <class U>
  WitResult(Ok<U> ok) : state_(std::in_place_index<0>, std::move(ok.value)) {}  // NOLINT: implicit
  template <class U>
  WitResult(Err<U> err)  // NOLINT: implicit
      : state_(std::in_place_index<1>, std::move(err.error)) {}
  /// Where E is a string: what the Error says.
  WitResult(Result<T> result)  // NOLINT: implicit
    requires std::is_same_v<E, std::string>
      : WitResult(made_of(std::move(result))) {}

  bool ok() const { return state_.index() == 0; }
  const Value& value() const { return std::get<0>(state_); }
  const Failure& error() const { return std::get<1>(state_); }

 private:
  static WitResult made_of(Result<T> result) {
    if (!result.ok()) return Err(std::move(result).error().message);
    if constexpr (std::is_void_v<T>)
      return Ok();
    else
      return Ok(std::move(*result));
  }

  std::variant<Value, Failure> state_;
};

template <class T, class E>
struct WitType<WitResult<T, E>> {
  static std::string text() {
    if constexpr (std::is_void_v<T> && std::is_void_v<E>)
      return "result";
    else if constexpr (std::is_void_v<T>)
      return "result<_, " + WitType<E>::text() + ">";
    else if constexpr (std::is_void_v<E>)
      return "result<" + WitType<T>::text() + ">";
    else
      return "result<" + WitType<T>::text() + ", " + WitType<E>::text() + ">";
  }
  static WitResult<T, E> read(ValueReader from) {
    if (from.result_is_ok()) {
      if constexpr (std::is_void_v<T>)
        return Ok();
      else
        return Ok(WitType<T>::read(from.payload()));
    }
    if constexpr (std::is_void_v<E>)
      return Err();
    else
      return Err(WitType<E>::read(from.payload()));
  }
  static void write(ValueWriter to, const WitResult<T, E>& result) {
    if (result.ok()) {
      if constexpr (std::is_void_v<T>)
        to.ok();
      else
        WitType<T>::write(to.ok_with(), result.value());
    } else {
      if constexpr (std::is_void_v<E>)
        to.err();
      else
        WitType<E>::write(to.err_with(), result.error());
    }
  }
};

}  // namespace pie::wasm
