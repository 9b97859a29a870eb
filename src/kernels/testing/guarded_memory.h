#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace pie::kernels {

/// Memory that ends where a page begins which nobody may touch: a read or write behind it ends the
/// process, also one by an instruction that no sanitizer watches.
class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t used = (bytes + page - 1) / page * page;
    mapped_ = used + page;
    void* memory =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory");
    base_ = static_cast<std::byte*>(memory);
    if (mprotect(base_ + used, page, PROT_NONE) != 0) throw std::runtime_error("mprotect failed");
    data_ = base_ + used - bytes;
  }
  ~GuardedMemory() { munmap(base_, mapped_); }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  /// As aligned as the number of bytes.
  std::byte* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0;
};

/// A copy of the values in guarded memory.
class GuardedFloats : public GuardedMemory {
 public:
  explicit GuardedFloats(const std::vector<float>& values)
      : GuardedMemory(values.size() * sizeof(float)) {
    std::memcpy(data(), values.data(), values.size() * sizeof(float));
  }
};

}  // namespace pie::kernels
