#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "wasm/object.h"

namespace pie::wasm {

/// The host objects behind one instance's handles. Used by the thread that runs the instance.
class HandleTable {
 public:
  explicit HandleTable(uint32_t count_max) : count_max_(count_max) {}

  /// The object's number. Throws LimitError at the limit.
  uint32_t add(std::shared_ptr<Object> object);
  /// The object, or null when there is none of this number.
  std::shared_ptr<Object> get(uint32_t number) const;
  /// Takes it out of the table; its number is free again.
  std::shared_ptr<Object> take(uint32_t number);
  /// Releases every object.
  void clear();
  uint32_t count() const { return static_cast<uint32_t>(objects_.size() - free_.size()); }
  uint32_t count_max() const { return count_max_; }

 private:
  const uint32_t count_max_;
  std::vector<std::shared_ptr<Object>> objects_;
  std::vector<uint32_t> free_;
};

}  // namespace pie::wasm
