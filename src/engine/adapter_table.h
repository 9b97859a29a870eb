#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/adapter.h"

namespace pie::engine {

/// The adapter pointers of one instance, smallest free one first, and what they stand for. An
/// adapter is a value: who changes what a pointer stands for changes nothing else. Guarded by the
/// engine's lock.
class AdapterTable {
 public:
  /// Pointers of one instance: what they stand for is charged by whoever makes it.
  static constexpr uint32_t kPointersMax = 1024;

  /// A pointer for each, which may be null. kResourceExhausted over kPointersMax.
  Result<std::vector<uint32_t>> map(std::string_view call, std::vector<model::AdapterRef> adapters);
  /// What they stood for: large ones take their time to go. kInvalidArgument names a pointer that
  /// is not mapped, or is there twice: then none is unmapped.
  Result<std::vector<model::AdapterRef>> unmap(std::string_view call,
                                               std::span<const uint32_t> pointers);
  /// What pointers stand for, null where nothing was put yet.
  Result<std::vector<model::AdapterRef>> find(std::string_view call,
                                              std::span<const uint32_t> pointers) const;
  /// What it stood for before.
  Result<model::AdapterRef> put(std::string_view call, uint32_t pointer, model::AdapterRef adapter);

 private:
  bool is_mapped(uint32_t pointer) const {
    return pointer < entries_.size() && entries_[pointer].has_value();
  }

  std::vector<std::optional<model::AdapterRef>> entries_;  // by pointer
  uint32_t mapped_ = 0;
};

}  // namespace pie::engine
