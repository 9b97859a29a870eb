#pragma once
#include <cstddef>
#include <utility>

namespace pie {

/// Anonymous memory, zero, committed as it is written: by pages of 4 KiB, or where the system has
/// huge pages and the memory is at least one of them, by pages of 2 MiB. What is read from end to
/// end at each step (weights, KV pages) lacks most of its address translations otherwise.
class Mapping {
 public:
  static constexpr size_t kHugePage = size_t{2} << 20;

  Mapping() = default;
  /// Aligned to kHugePage from that size on, else to 4 KiB; null for a size of 0. Throws
  /// std::bad_alloc when the machine refuses.
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

}  // namespace pie
