#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "pie/handle.h"

namespace inferlet {

/// Something that becomes ready: a result of the model, a message, a timer.
class Pollable {
 public:
  explicit Pollable(abi::Handle handle) : handle_(handle) {}
  bool ready() const { return abi::pollable_ready(handle_.get()) != 0; }
  /// Sleeps until it is ready.
  void block() const { abi::pollable_block(handle_.get()); }
  abi::Handle handle() const { return handle_.get(); }

 private:
  OwnedHandle<abi::pollable_drop> handle_;
};

/// Sleeps until at least one of them is ready; the indices of those that are. `pollables` must not
/// be empty.
std::vector<uint32_t> poll(std::span<const Pollable* const> pollables);

}  // namespace inferlet
