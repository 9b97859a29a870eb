#pragma once
#include <utility>

#include "pie/abi.h"

namespace inferlet {

/// Owns one handle of a host resource; `Drop` gives it back. Move-only.
template <void (*Drop)(abi::Handle)>
class OwnedHandle {
 public:
  OwnedHandle() = default;
  explicit OwnedHandle(abi::Handle handle) : handle_(handle), owned_(true) {}
  OwnedHandle(OwnedHandle&& other) noexcept { swap(other); }
  OwnedHandle& operator=(OwnedHandle&& other) noexcept {
    OwnedHandle moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~OwnedHandle() {
    if (owned_) Drop(handle_);
  }

  explicit operator bool() const { return owned_; }
  abi::Handle get() const { return handle_; }
  /// Gives the handle away, to a call that takes ownership.
  abi::Handle release() {
    owned_ = false;
    return handle_;
  }

 private:
  void swap(OwnedHandle& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(owned_, other.owned_);
  }

  abi::Handle handle_ = 0;
  bool owned_ = false;
};

}  // namespace inferlet
