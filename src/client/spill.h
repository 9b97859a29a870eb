#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pie::client {

/// Bytes that wait on the disk, first in first out, in a temporary file without a name: it is gone
/// with the process. Empty files take no room. Not thread-safe.
class Spill {
 public:
  Spill() = default;
  ~Spill();
  Spill(const Spill&) = delete;
  Spill& operator=(const Spill&) = delete;

  /// kResourceExhausted with the system's reason when the disk does not take them.
  Result<void> push(std::string_view bytes);
  /// The oldest `size` bytes, which were pushed together.
  Result<std::string> pop(size_t size);

 private:
  int fd_ = -1;
  uint64_t read_at_ = 0;
  uint64_t write_at_ = 0;
};

}  // namespace pie::client
