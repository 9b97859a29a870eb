#pragma once
#include <cstddef>
#include <utility>

namespace pie::exec {

/// Anonymous memory, zero, committed page by page as it is written.
class Mapping {
 public:
  Mapping() = default;
  /// Null (get() == nullptr) when the machine refuses.
  explicit Mapping(size_t size);
  Mapping(Mapping&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping();

  std::byte* get() const { return address_; }
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(address_);
  }
  size_t size() const { return size_; }

 private:
  std::byte* address_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pie::exec
