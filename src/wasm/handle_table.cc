#include "wasm/handle_table.h"

#include <fmt/format.h>

#include <utility>

#include "wasm/guest_error.h"

namespace pie::wasm {

uint32_t HandleTable::add(std::shared_ptr<Object> object) {
  if (count() >= count_max_)
    throw LimitError(fmt::format("handles: used {}, allowed {}", count(), count_max_));
  if (free_.empty()) {
    objects_.push_back(std::move(object));
    return static_cast<uint32_t>(objects_.size() - 1);
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  objects_[number] = std::move(object);
  return number;
}

std::shared_ptr<Object> HandleTable::get(uint32_t number) const {
  return number < objects_.size() ? objects_[number] : nullptr;
}

std::shared_ptr<Object> HandleTable::take(uint32_t number) {
  if (number >= objects_.size() || !objects_[number]) return nullptr;
  free_.push_back(number);
  return std::move(objects_[number]);
}

void HandleTable::clear() {
  const auto objects = std::exchange(objects_, {});
  free_.clear();
}

}  // namespace pie::wasm
