#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "wasm/component.h"
#include "wasm/handle_table.h"
#include "wasm/object.h"
#include "wasm/runtime.h"

namespace pie::wasm {

/// What host functions need of the instance that calls them: the data of its store. Used by the
/// thread that runs the instance, except `event_fired`.
struct StoreData {
  explicit StoreData(uint32_t handles_max) : handles(handles_max) {}
  virtual ~StoreData() = default;
  StoreData(const StoreData&) = delete;
  StoreData& operator=(const StoreData&) = delete;

  /// A function to be called, from any thread, when an event of the instance's wait fires.
  virtual std::function<void()> waker() = 0;

  std::shared_ptr<const LinkedComponent> component;
  std::array<std::unique_ptr<InstanceContext>, kContextCount> contexts;
  HandleTable handles;
  /// Set by the host function that ends the instance; the call then fails.
  std::optional<Outcome> verdict;
  /// A waiter ran since the wait's waiters were registered.
  std::atomic<bool> event_fired{false};
  /// Of the current call; kept between calls for its storage.
  HandleArguments handle_arguments;
};

}  // namespace pie::wasm
