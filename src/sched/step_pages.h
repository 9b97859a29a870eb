#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/strong_id.h"

namespace pie::sched {

/// Which pages the passes of the step being built read and write.
class StepPages {
 public:
  explicit StepPages(uint32_t page_count) : read_(page_count, 0), written_(page_count, 0) {}

  void begin_step() { ++step_; }
  /// Whether a pass that reads `read` and writes `written` may join: none of what it writes was
  /// touched, none of what it reads was written.
  bool compatible(std::span<const KvPageId> read, std::span<const KvPageId> written) const;
  void add(std::span<const KvPageId> read, std::span<const KvPageId> written);

 private:
  std::vector<uint64_t> read_;  // by page: the last step that touched it
  std::vector<uint64_t> written_;
  uint64_t step_ = 0;
};

}  // namespace pie::sched
