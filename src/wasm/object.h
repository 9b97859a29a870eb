#pragma once
#include <concepts>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "wasm/readiness.h"

namespace pie::wasm {

/// A host object behind a guest's handle (a WIT resource). Lives in its instance's handle table.
/// A class whose objects programs hold says which resource it is:
///   static constexpr std::string_view kResource = "interface/name";  // without a version
class Object {
 public:
  virtual ~Object() = default;
};

template <class T>
concept Resource = std::derived_from<T, Object> && requires {
  { T::kResource } -> std::convertible_to<std::string_view>;
};

/// An object to be handed to a program that owns the handle.
struct OwnedHandle {
  std::string_view resource;
  std::shared_ptr<Object> object;
};
template <Resource T>
OwnedHandle owned_handle(std::shared_ptr<T> object) {
  return {T::kResource, std::move(object)};
}

/// The objects behind the handles among a call's arguments, in the order of the arguments.
struct HandleArguments {
  struct Handle {
    size_t argument;
    std::shared_ptr<Object> object;  ///< null: not a live one
  };
  std::vector<Handle> all;
  size_t read_count = 0;  ///< of them, by the readers of the arguments
};

/// What a layer above keeps per instance (the ABI's state, WASI's state), reached from every call.
/// A class of them says under which index: static constexpr size_t kContext.
class InstanceContext {
 public:
  virtual ~InstanceContext() = default;
};
constexpr size_t kWasiContext = 0;
constexpr size_t kHostContext = 1;
constexpr size_t kContextCount = 2;

/// The object behind `wasi:io/poll/pollable`, ours and WASI's.
class Pollable final : public Object {
 public:
  static constexpr std::string_view kResource = "wasi:io/poll/pollable";
  explicit Pollable(ReadinessRef event) : event_(std::move(event)) {}
  const ReadinessRef& event() const { return event_; }

 private:
  ReadinessRef event_;
};

}  // namespace pie::wasm
