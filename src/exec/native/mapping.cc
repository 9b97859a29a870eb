#include "exec/native/mapping.h"

#include <sys/mman.h>

namespace pie::exec {

Mapping::Mapping(size_t size) {
  if (size == 0) return;
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return;
  address_ = static_cast<std::byte*>(address);
  size_ = size;
}

Mapping::~Mapping() {
  if (address_ != nullptr) munmap(address_, size_);
}

}  // namespace pie::exec
