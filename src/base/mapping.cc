#include "base/mapping.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace pie {
namespace {

std::byte* map(size_t size) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(address);
}

/// The first huge page's begin in `size` + kHugePage bytes; what lies around is given back.
std::byte* trim(std::byte* address, size_t size) {
  const size_t before =
      (Mapping::kHugePage - reinterpret_cast<uintptr_t>(address) % Mapping::kHugePage) %
      Mapping::kHugePage;
  const size_t after = Mapping::kHugePage - before;
  if (before > 0) munmap(address, before);
  if (after > 0) munmap(address + before + size, after);
  return address + before;
}

}  // namespace

Mapping::Mapping(size_t size) {
  constexpr size_t kPage = 4096;
  const size_t rounded = (size + kPage - 1) / kPage * kPage;
  if (size == 0) return;
  if (size > SIZE_MAX - 2 * kHugePage) throw std::bad_alloc();
  if (rounded < kHugePage) {
    address_ = map(rounded);
  } else {
    address_ = trim(map(rounded + kHugePage), rounded);
    madvise(address_, rounded, MADV_HUGEPAGE);  // refused where there are none: as good as before
  }
  size_ = size;
}

Mapping::~Mapping() {
  if (address_ != nullptr) munmap(address_, size_);  // whole pages, all that hold a part of it
}

}  // namespace pie
