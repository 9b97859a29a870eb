#pragma once
#include <concepts>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "wasm/host_call.h"
#include "wasm/wait.h"
#include "wasm/wit_type.h"

namespace pie::wasm {

/// A host function as it is called: made of a plain typed one by host_function().
struct HostFunction {
  std::string name;                               ///< "interface#function"
  std::string type;                               ///< in WIT's words; empty: serves any type
  std::function<void(HostCall&)> sync;            ///< answers at once; or
  std::function<PendingResult(HostCall&)> async;  ///< waits
};

namespace detail {

/// How a parameter is taken from a call and passed on: by default, the next argument's value.
template <class P>
struct Parameter {
  using Held = std::remove_cvref_t<P>;
  static Held take(HostCall& call, size_t& next) {
    return WitType<Held>::read(call.argument(next++));
  }
  static Held&& pass(Held& held) { return std::move(held); }
  static void add_text(std::string& all) {
    all += (all.empty() ? "" : ", ") + WitType<Held>::text();
  }
};
/// T&: the object behind a handle, during the call.
template <Resource T>
struct Parameter<T&> {
  using Held = T*;
  static Held take(HostCall& call, size_t& next) { return &call.argument(next++).object<T>(); }
  static T& pass(Held& held) { return *held; }
  static void add_text(std::string& all) { Parameter<std::shared_ptr<T>>::add_text(all); }
};
/// What a layer keeps for the calling instance; no argument of the program's.
template <std::derived_from<InstanceContext> T>
struct Parameter<T&> {
  using Held = T*;
  static Held take(HostCall& call, size_t&) { return static_cast<T*>(&call.context(T::kContext)); }
  static T& pass(Held& held) { return *held; }
  static void add_text(std::string&) {}
};

/// What a function that returns R gives to the program.
template <class R>
struct ResultOf {
  using Type = std::remove_cvref_t<R>;
};
template <>
struct ResultOf<Result<void>> {
  using Type = void;
};
template <class T>
struct ResultOf<Wait<T>> {
  using Type = T;
};
template <class R>
inline constexpr bool kWaits = false;
template <class T>
inline constexpr bool kWaits<Wait<T>> = true;

template <class R, class... P, class Body>
HostFunction typed(std::string name, Body body, R (*)(P...)) {
  HostFunction function;
  function.name = std::move(name);
  std::string parameters;
  (Parameter<P>::add_text(parameters), ...);
  function.type = "func(" + parameters + ")";
  using Given = typename ResultOf<R>::Type;
  if constexpr (!std::is_void_v<Given>) function.type += " -> " + WitType<Given>::text();

  auto invoke = [body = std::move(body)](HostCall& call) -> R {
    [[maybe_unused]] size_t next = 0;  // braces: read in the order of the arguments
    std::tuple<typename Parameter<P>::Held...> held{Parameter<P>::take(call, next)...};
    return std::apply([&](auto&... one) -> R { return body(Parameter<P>::pass(one)...); }, held);
  };
  if constexpr (kWaits<R>)
    function.async = [invoke = std::move(invoke)](HostCall& call) {
      return invoke(call).release();
    };
  else if constexpr (std::is_void_v<R>)
    function.sync = std::move(invoke);
  else if constexpr (std::is_same_v<R, Result<void>>)
    function.sync = [invoke = std::move(invoke)](HostCall& call) { value_or_throw(invoke(call)); };
  else
    function.sync = [invoke = std::move(invoke)](HostCall& call) {
      WitType<std::remove_cvref_t<R>>::write(call.result(), invoke(call));
    };
  return function;
}

template <class R, class... P>
auto signature(R (*function)(P...)) {
  return function;
}
template <class R, class Body, class... P>
auto signature(R (Body::*)(P...) const) -> R (*)(P...) {
  return nullptr;
}

}  // namespace detail

/// A function pointer or a lambda as a host function: R f(P...), where a parameter is
///   - S&, with S an InstanceContext: what that layer keeps for the calling instance,
///   - T&, with T a Resource: the object behind a handle; std::shared_ptr<T>: the same, to keep,
///   - or a value that has a WitType,
/// and R is void, a value that has a WitType, a Result of either (an error ends the instance as
/// throw_error does), or a Wait of a value or nothing.
template <class Body>
HostFunction host_function(std::string name, Body body) {
  if constexpr (std::is_pointer_v<Body>)
    return detail::typed(std::move(name), body, detail::signature(body));
  else
    return detail::typed(std::move(name), std::move(body), detail::signature(&Body::operator()));
}

}  // namespace pie::wasm
